"""Trains, evaluates or samples: python launch.py --config=configs/NAME.py

--config=FILE[:VARIANT]     what to run; --config.train.steps=100 changes it
--workdir=DIR               where it is kept; runs/NAME if not given. The
                            same command again goes on where it stopped.
--mode=eval|sample|report   reads the workdir's checkpoint; report, several's
--list                      every config, model and task there is
"""

import pathlib
import signal
import sys

from absl import flags
from ml_collections import config_flags

from memjax import command_line
from memjax.errors import ConfigError, Diverged

CONFIG = config_flags.DEFINE_config_file('config', help_string='what to run')
WORKDIR = flags.DEFINE_string('workdir', '', 'where the run is kept')
MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'eval', 'sample', 'report'], 'what to do'
)
PROMPT = flags.DEFINE_string('prompt', '\n', 'sample: the text to go on from')
LENGTH = flags.DEFINE_integer('length', 200, 'sample: tokens to generate')
TEMPERATURE = flags.DEFINE_float('temperature', 1.0, 'sample: 0 is greedy')
flags.DEFINE_bool('list', False, 'print what there is to run')
SEED = flags.DEFINE_integer('seed', 0, 'sample: which of the possible texts')


def main() -> int:
  """Runs the mode; returns the exit code."""
  if '--list' in sys.argv[1:]:
    return show()
  try:
    config, name = command_line.parse(sys.argv, CONFIG)
    return run(config, pathlib.Path(WORKDIR.value or f'runs/{name}'))
  except ConfigError as error:
    return say(error, 2)
  except Diverged as error:
    return say(error, 1)
  except OSError as error:  # a full disk, a folder taken away
    return say(f'{error.filename or WORKDIR.value}: {error.strerror}', 1)


def say(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'launch.py: {message}', file=sys.stderr)
  return code


def show() -> int:
  """Prints what there is to run."""
  from memjax.catalogue import catalogue

  signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as `| head` expects
  for line in catalogue(pathlib.Path('configs')):
    print(line)
  return 0


def run(config: dict, workdir: pathlib.Path) -> int:
  """Imports what the mode needs, and does it."""
  from memjax import modes

  if MODE.value == 'eval':
    return modes.evaluate(config, workdir)
  if MODE.value == 'report':
    return modes.report(workdir)
  if MODE.value == 'sample':
    return modes.sample(
      workdir, PROMPT.value, LENGTH.value, TEMPERATURE.value, SEED.value
    )
  return modes.train(config, workdir)


if __name__ == '__main__':
  sys.exit(main())
