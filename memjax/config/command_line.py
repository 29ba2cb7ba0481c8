"""From the command line to a config, every mistake a line of its own."""

from collections.abc import Iterator, Mapping, Sequence
import os
import pathlib
import runpy
from typing import Any

from absl import flags

from memjax.errors import ConfigError, nearest, require

OF_A_WORKDIR = ('sample', 'report')  # modes that read the config kept there

SAMPLING = (
  flags.DEFINE_string('prompt', None, 'the text to go on from; else a newline'),
  flags.DEFINE_string(
    'prompt_file', None, 'the file it is in; - is standard input'
  ),
  flags.DEFINE_integer('length', 200, 'tokens to generate'),
  flags.DEFINE_float('temperature', 1.0, 'of the draws; 0 is greedy'),
  flags.DEFINE_integer('top_k', 0, 'among so many likely tokens; 0 is all'),
  flags.DEFINE_float('top_p', 1.0, 'then among so much probability; 1 is all'),
  flags.DEFINE_integer('seed', None, 'which of the possible texts; else 0'),
  flags.DEFINE_integer('replica', 0, 'whose text, in a run of replicas'),
  flags.DEFINE_string('save_carry', None, 'a file to keep the memory in'),
  flags.DEFINE_string('carry', None, 'such a file, to go on with the text'),
)


def sampling() -> dict[str, Any]:
  """What `--mode=sample` is asked for, by the flags' names."""
  return {flag.name: flag.value for flag in SAMPLING}


def explained() -> Iterator[str]:
  """A line for each flag of `--mode=sample`."""
  for flag in SAMPLING:
    default = '...' if flag.default is None else flag.default
    said = flags.FLAGS[flag.name].help
    yield f'{f"--{flag.name}={default}":28}{said}'


def parse(
  argv: Sequence[str], config: flags.FlagHolder
) -> tuple[dict[str, Any], str]:
  """Parses all flags.

  Args:
    argv: the command line, the program first.
    config: what `config_flags.DEFINE_config_file` returned.

  Returns:
    The config as nested dicts, and its name, as in `mqar-lstm`; under wandb's
    agent the run's id follows. {} and '' if none is given and the mode reads
    the one that the workdir keeps.

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
  field = given[0].removeprefix('--config=')
  check_overrides(read(field), argv[1:])
  _parse_flags(argv)
  file, _, variant = field.partition(':')
  parts = [pathlib.Path(file).stem, *variant.split(',')]
  if 'WANDB_SWEEP_ID' in os.environ:  # its trials must not share a workdir
    parts.append(os.environ['WANDB_RUN_ID'])
  return config.value.to_dict(), '-'.join(filter(None, parts))


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
