"""Trains, evaluates or samples: python launch.py --config=configs/NAME.py

--config=FILE[:VARIANT]     what to run; --config.train.steps=100 changes it
--workdir=DIR               where it is kept; runs/NAME if not given. The
                            same command again goes on where it stopped.
--mode=eval|sample|report   reads the workdir's checkpoint; sample and report
                            need no --config, report takes several: DIR,DIR
--list                      every config, model and task there is
--help                      this, and what sample can be asked for
"""

from collections.abc import Iterable
import pathlib
import signal
import sys

from absl import flags

from memjax.config import command_line
from memjax.errors import ConfigError, Diverged
from memjax.runs import exit_codes

flags.DEFINE_string('config', '', 'FILE[:VARIANT], what to run')
WORKDIR = flags.DEFINE_string('workdir', '', 'where the run is kept')
MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'eval', 'sample', 'report'], 'what to do'
)
flags.DEFINE_bool('list', False, 'print what there is to run')


def main() -> int:
  """Runs the mode; returns the exit code."""
  if '--help' in sys.argv[1:]:
    return show([str(__doc__), *command_line.explained()])
  if '--list' in sys.argv[1:]:
    from memjax.config.catalogue import catalogue

    return show(catalogue(pathlib.Path('configs')))
  try:
    config, name = command_line.parse(sys.argv)
    return run(config, pathlib.Path(WORKDIR.value or f'runs/{name}'))
  except ConfigError as error:
    return say(error, exit_codes.REFUSED)
  except Diverged as error:
    return say(error, exit_codes.DIVERGED)
  except OSError as error:  # a full disk, a folder taken away
    path = error.filename or WORKDIR.value
    return say(f'{path}: {error.strerror}', exit_codes.FAILED)


def say(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'launch.py: {message}', file=sys.stderr)
  return code


def show(lines: Iterable[str]) -> int:
  """Prints them; `| head` may read a part."""
  signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  print(*lines, sep='\n')
  return exit_codes.FINISHED


def run(config: dict, workdir: pathlib.Path) -> int:
  """Imports what the mode needs, and does it."""
  from memjax import modes

  if MODE.value == 'eval':
    return modes.evaluate(config, workdir)
  if MODE.value == 'report':
    return modes.report(workdir)
  if MODE.value == 'sample':
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as `| head` expects
    return modes.sample(workdir, **command_line.sampling())
  return modes.train(config, workdir)


if __name__ == '__main__':
  sys.exit(main())
