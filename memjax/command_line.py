"""From the command line to a config, every mistake a line of its own."""

from collections.abc import Mapping, Sequence
import pathlib
import runpy
from typing import Any

from absl import flags

from memjax.errors import ConfigError, nearest, require

OF_A_WORKDIR = ('sample', 'report')  # modes that read the config kept there


def parse(
  argv: Sequence[str], config: flags.FlagHolder
) -> tuple[dict[str, Any], str]:
  """Parses all flags.

  Args:
    argv: the command line, the program first.
    config: what `config_flags.DEFINE_config_file` returned.

  Returns:
    The config as nested dicts, and its name, as in `mqar-lstm`; {} and '' if
    none is given and the mode reads the one that the workdir keeps.

  Raises:
    ConfigError: a flag, the config file, its variant or one of the overrides
      is wrong.
  """
  given = [arg for arg in argv[1:] if arg.startswith('--config=')]
  if not given and _asks_a_workdir(argv[1:]):
    _parse_flags(argv)
    return {}, ''
  there = ', '.join(sorted(map(str, pathlib.Path().glob('configs/*.py'))))
  require(
    len(given) == 1,
    'config',
    ' '.join(given),
    f'one --config=FILE must be given; there are {there or "none here"}',
  )
  file, _, variant = given[0].removeprefix('--config=').partition(':')
  _check_overrides(_read(file, variant), argv[1:])
  _parse_flags(argv)
  name = '-'.join([pathlib.Path(file).stem, *variant.split(',')]).strip('-')
  return config.value.to_dict(), name


def _asks_a_workdir(args: Sequence[str]) -> bool:
  said = dict(arg.lstrip('-').partition('=')[::2] for arg in args)
  return said.get('mode') in OF_A_WORKDIR and bool(said.get('workdir'))


def _parse_flags(argv: Sequence[str]) -> None:
  try:
    rest = flags.FLAGS(list(argv))
  except flags.Error as error:
    raise ConfigError(
      'flags', str(error).splitlines()[0], 'see --help'
    ) from None
  require(len(rest) == 1, 'flags', ' '.join(rest[1:]), 'is not a flag')


def _read(file: str, variant: str) -> dict[str, Any]:
  """The config before any override."""
  field = f'{file}:{variant}' if variant else file
  try:
    get_config = runpy.run_path(file)['get_config']
    made = get_config(variant) if variant else get_config()
  except OSError as error:
    raise ConfigError('config', field, f'{error.strerror}') from None
  except Exception as error:
    said = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('config', field, f'cannot be read: {said}') from None
  return made.to_dict()


def _check_overrides(config: Mapping[str, Any], args: Sequence[str]) -> None:
  """Requires `--config.a.b=value` to name a field, not a section."""
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
