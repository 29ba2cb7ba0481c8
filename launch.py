"""Trains, evaluates, samples or reports: launch.py --config=configs/NAME.py

--config=FILE[:VARIANT]     what to run; --config.train.steps=100 sets a field
--workdir=DIR               folder of the run, else runs/NAME; resumes its run
--mode=eval|sample|report   reads the workdir's checkpoint; sample and report
                            need no --config; report takes several: DIR,DIR
--list                      lists all configs, models and tasks
--help                      shows this, and the flags of --mode=sample
Exit codes: 0 finished, 1 failed, 2 refused, 3 diverged, 75 stopped and saved
"""

from collections.abc import Iterable
import pathlib
import signal
import sys

from absl import flags

from memjax.config import command_line
from memjax.errors import ConfigError, Diverged
from memjax.runs import exit_codes

flags.DEFINE_string('config', '', 'the experiment: FILE[:VARIANT]')
WORKDIR = flags.DEFINE_string('workdir', '', 'folder of the run')
MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'eval', 'sample', 'report'], 'what to do'
)
flags.DEFINE_bool('list', False, 'list all configs, models and tasks')


def main() -> int:
  """Runs the mode; returns the exit code."""
  if '--help' in sys.argv[1:]:
    return show([str(__doc__), *command_line.describe_flags()])
  if '--list' in sys.argv[1:]:
    from memjax.config.catalogue import catalogue

    return show(catalogue(pathlib.Path('configs')))
  try:
    config, name = command_line.parse(sys.argv)
    return run(config, pathlib.Path(WORKDIR.value or f'runs/{name}'))
  except ConfigError as error:
    return print_error(error, exit_codes.REFUSED)
  except Diverged as error:
    return print_error(error, exit_codes.DIVERGED)
  except OSError as error:  # a full disk, a removed folder
    path = error.filename or WORKDIR.value
    return print_error(f'{path}: {error.strerror}', exit_codes.FAILED)


def print_error(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'launch.py: {message}', file=sys.stderr)
  return code


def show(lines: Iterable[str]) -> int:
  """Prints lines; `| head` may close the pipe early."""
  signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  print(*lines, sep='\n')
  return exit_codes.FINISHED


def run(config: dict, workdir: pathlib.Path) -> int:
  """Imports what the mode needs, and runs it."""
  from memjax.modes import evaluate, report, sample, train

  if MODE.value == 'eval':
    return evaluate.evaluate(config, workdir)
  if MODE.value == 'report':
    return report.report(workdir)
  if MODE.value == 'sample':
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it
    return sample.sample(workdir, **command_line.sampling())
  return train.train(config, workdir)


if __name__ == '__main__':
  sys.exit(main())
