"""Trains, evaluates, samples, reports: memjax --config=configs/NAME.py

memjax --config=FILE[:VARIANT]   runs an experiment; NAME alone is a config
                                 that comes with memjax: --config=quickstart
  --config.train.steps=100       sets any field that --list NAME shows
  --workdir=DIR                  folder of the run, else runs/NAME; the same
                                 command resumes the run
  --mode=eval|sample|report|export
                                 reads the workdir and needs no --config:
                                 measures sets, writes text, a page, or the
                                 weights; report takes several: DIR,DIR
  --mode=import --from=PATH      makes a workdir of a pretrained model
  --mode=verify                  hashes every checkpoint of the workdir and its
                                 data, and says which bytes are wrong
  --mode=replay --step=N         computes a training row again and compares its
                                 bits with metrics.jsonl
--mode=snapshot --store=FILE --space=NAME
                                 writes the database of a text with neighbours
                                 into a store, and the snapshot that it reads
memjax check my_memory.Decay     tries the laws of a memory on a class of your
                                 own or built in, lstm.LSTM; more words set
                                 fields: slots=8; --mode=check tries them on
                                 the model of a --config
  --profile=10|100:110           writes a trace of these steps to the workdir
memjax --list                    lists configs, models, tasks, instruments and
                                 evaluations
memjax --list NAME               shows the fields of one of them, of an
                                 optimiser or of a section: lstm, optim, adamw
memjax --help                    shows this, and every flag
Exit codes: 0 finished, 1 failed or a law is broken, 2 refused, 3 diverged,
4 stuck, 5 another process of the run is gone, 75 stopped and saved
"""

from collections.abc import Iterable
import pathlib
import signal
import sys

from memjax.config import command_line
from memjax.errors import ConfigError, Diverged, NotSaved, Stopped
from memjax.guards import interrupts, phase
from memjax.runs import exit_codes, heap

OUT_OF_MEMORY = 'RESOURCE_EXHAUSTED'  # how XLA's errors begin


def main() -> int:
  """Runs what the command line says; returns the exit code."""
  heap.keep_freed_memory()
  try:
    with interrupts.handled():
      return run_words(sys.argv[1:])
  except Stopped as error:
    return print_error(error, exit_codes.STOPPED)


def run_words(words: list[str]) -> int:
  """Runs what these words say; an error of the user's is one line.

  Raises:
    Stopped: SIGTERM or Ctrl-C came where nothing can be lost.
  """
  if not words or {'--help', '-h'} & {*words}:
    return show([str(__doc__), *command_line.describe_flags()])
  try:
    if words[0] == 'check':
      from memjax.modes import check

      return check.check(*command_line.parse_check(words[1:]))
    if any(word.startswith('--list') for word in words):
      from memjax.config import listing

      return show(listing.lines(words))
    config, name = command_line.parse(sys.argv)
    workdir = pathlib.Path(command_line.WORKDIR.value or f'runs/{name}')
    phase.set_rank(phase.rank_of(config))
    training = command_line.MODE.value == 'train'
    limits = phase.limits_of(config) if training else {}
    with phase.Watchdog(limits, workdir):
      return run(config, workdir)
  except Exception as error:
    return describe(error)


def describe(error: Exception) -> int:
  """Prints an error that is no bug in one line; returns the exit code.

  Raises:
    error: it is a bug.
  """
  match error:
    case NotSaved():
      return print_error(error, exit_codes.FAILED)
    case ConfigError():
      return print_error(error, exit_codes.REFUSED)
    case Diverged():
      return print_error(error, exit_codes.DIVERGED)
    case OSError():  # a full disk, a removed folder
      path = error.filename or command_line.WORKDIR.value
      return print_error(f'{path}: {error.strerror}', exit_codes.FAILED)
  full = isinstance(error, RuntimeError) and OUT_OF_MEMORY in str(error)
  if not full and not isinstance(error, MemoryError):
    raise error
  reason = str(error).partition('\n')[0].rstrip('.')
  line = f'out of memory during {phase.current()}: {reason}; a smaller '
  line += 'train.batch_size or train.grad_accum_steps=2 needs less'
  return print_error(line, exit_codes.FAILED)


def print_error(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'memjax: {message}', file=sys.stderr)
  return code


def show(lines: Iterable[str]) -> int:
  """Prints lines; `| head` may close the pipe early."""
  signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  for line in lines:
    print(line)
  return exit_codes.FINISHED


def run(config: dict, workdir: pathlib.Path) -> int:
  """Imports what the mode needs, and nothing else; runs it."""
  mode = command_line.MODE.value
  if mode == 'eval':
    from memjax.modes.evaluate import evaluate

    return evaluate(config, workdir, **command_line.evaluating())
  if mode == 'export':
    from memjax.modes.export import export

    return export(workdir, **command_line.exporting())
  if mode == command_line.IMPORT:
    from memjax.modes.import_model import import_model

    return import_model(workdir=workdir, **command_line.importing())
  if mode == 'check':
    from memjax.modes.check import check_config

    return check_config(config)
  if mode == command_line.SNAPSHOT:
    from memjax.modes.snapshot import snapshot

    return snapshot(config, **command_line.storing())
  if mode == 'verify':
    from memjax.modes.verify import verify

    return verify(workdir)
  if mode == 'replay':
    from memjax.modes.replay import replay

    return replay(workdir, command_line.step())
  if mode == 'report':
    from memjax.modes.report import report

    return report(workdir, **command_line.reporting())
  if mode == 'sample':
    from memjax.modes.sample import sample

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it
    return sample(workdir, **command_line.sampling())
  from memjax.modes.train import train

  return train(config, workdir, command_line.PROFILE.value)


if __name__ == '__main__':
  sys.exit(main())
