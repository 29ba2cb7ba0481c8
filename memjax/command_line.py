"""From the command line to a config, every mistake a line of its own."""

from collections.abc import Mapping, Sequence
import pathlib
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
    The config as nested dicts, and its name, as in `mqar-lstm`.

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
  path = given[0].removeprefix('--config=')
  _check_overrides(_read([argv[0], given[0]], config, path), argv[1:])
  try:
    rest = flags.FLAGS(list(argv))
  except flags.Error as error:
    raise ConfigError(
      'flags', str(error).splitlines()[0], 'see --help'
    ) from None
  require(len(rest) == 1, 'flags', ' '.join(rest[1:]), 'is not a flag')
  file, _, variant = path.partition(':')
  name = '-'.join([pathlib.Path(file).stem, *variant.split(',')]).strip('-')
  return config.value.to_dict(), name


def _read(argv: list[str], config: flags.FlagHolder, path: str) -> Any:
  """The config before any override."""
  try:
    flags.FLAGS(argv)
    return config.value
  except Exception as error:
    said = str(error).splitlines()[-1].strip()
    raise ConfigError('config', path, f'cannot be read: {said}') from None
  finally:
    flags.FLAGS.unparse_flags()


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
