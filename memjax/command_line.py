"""From the command line to a config, every mistake a line of its own."""

from collections.abc import Mapping, Sequence
import os
import pathlib
import runpy
from typing import Any

from absl import flags

from memjax.errors import ConfigError, nearest, require


def parse(
  argv: Sequence[str], config: flags.FlagHolder
) -> tuple[dict[str, Any], str]:
  """Parses all flags.

  Args:
    argv: the command line, the program first.
    config: what `config_flags.DEFINE_config_file` returned.

  Returns:
    The config as nested dicts, and its name, as in `mqar-lstm`; under wandb's
    agent the run's id follows.

  Raises:
    ConfigError: a flag, the config file, its variant or one of the overrides
      is wrong.
  """
  given = [arg for arg in argv[1:] if arg.startswith('--config=')]
  there = ', '.join(sorted(map(str, pathlib.Path().glob('configs/*.py'))))
  require(
    len(given) == 1,
    'config',
    ' '.join(given),
    f'one --config=FILE must be given; there are {there or "none here"}',
  )
  field = given[0].removeprefix('--config=')
  check_overrides(read(field), argv[1:])
  try:
    rest = flags.FLAGS(list(argv))
  except flags.Error as error:
    raise ConfigError(
      'flags', str(error).splitlines()[0], 'see --help'
    ) from None
  require(len(rest) == 1, 'flags', ' '.join(rest[1:]), 'is not a flag')
  file, _, variant = field.partition(':')
  parts = [pathlib.Path(file).stem, *variant.split(',')]
  if 'WANDB_SWEEP_ID' in os.environ:  # its trials must not share a workdir
    parts.append(os.environ['WANDB_RUN_ID'])
  return config.value.to_dict(), '-'.join(filter(None, parts))


def read(field: str) -> dict[str, Any]:
  """The config of FILE[:VARIANT] before any override.

  Raises:
    ConfigError: it cannot be read.
  """
  file, _, variant = field.partition(':')
  try:
    get_config = runpy.run_path(file)['get_config']
    made = get_config(variant) if variant else get_config()
  except OSError as error:
    raise ConfigError('config', field, f'{error.strerror}') from None
  except Exception as error:
    said = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('config', field, f'cannot be read: {said}') from None
  return made.to_dict()


def check_overrides(config: Mapping[str, Any], args: Sequence[str]) -> None:
  """Requires `--config.a.b=value` to name a field, not a section.

  Raises:
    ConfigError: there is no such field.
  """
  for arg in args:
    name, _, value = arg.partition('=')
    if not name.startswith(('--config.', '--noconfig.')):
      continue
    path = name.partition('.')[2].split('.')
    here: Any = config
    for i, key in enumerate(path):
      field = '.'.join(path[: i + 1])
      if not isinstance(here, Mapping) or key not in here:
        known = here if isinstance(here, Mapping) else ()
        raise ConfigError(field, value, f'no such field; {nearest(key, known)}')
      here = here[key]
    if isinstance(here, Mapping) and len(here):
      raise ConfigError(
        '.'.join(path),
        value,
        f'replaces a whole section: set its fields one by one, '
        f'--config.{".".join(path)}.{next(iter(here))}=...',
      )
