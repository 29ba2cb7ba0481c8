"""What keeps a run honest when something goes wrong.

`phase` knows what the process is doing and ends it if that takes too long.
`interrupts` handles SIGTERM and Ctrl-C. `join`, `peers`, `verdict` and `hosts`
are about runs of several processes: they find each other, watch each other and
must agree on what they train. `ending` ends a process that cannot go on.
`finite` keeps values that are not finite out of the state, `nonfinite` says
what comes next. `memory` refuses what cannot fit, `place` follows the workdir,
and `file_hashes` finds the bytes that are wrong.
"""
