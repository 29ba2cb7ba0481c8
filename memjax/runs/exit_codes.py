"""The exit codes of memjax and memjax.sweep; programs rely on nothing else.

    0   finished
    1   failed: the disk is full, a folder was removed, or a bug; of a check: a
        law is broken; of verify and replay: something differs
    2   refused: a wrong flag, field, value or file; one line on standard error
    3   diverged: a value is not finite, and `train.nonfinite` does not go on;
        every checkpoint is finite
    4   stuck: a phase made no progress within its limit, `train.limits`; the
        stacks of all threads are in `stacks.txt`
    5   another process of the run died, was silent, stuck or not there, or
        failed; the line names it, its step and its phase
    75  stopped by SIGTERM or Ctrl-C; the steps so far are saved, unless a third
        signal came before the save was complete; the same command resumes

75 is EX_TEMPFAIL of sysexits.h: repeat the command later. `run.json` of the
workdir has the same end in its field `state`.
"""

FINISHED, FAILED, REFUSED, DIVERGED, STUCK, PEER = range(6)
STOPPED = 75
