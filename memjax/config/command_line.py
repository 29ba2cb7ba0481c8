"""From the command line to a config; every mistake is one line."""

from collections.abc import Iterator, Mapping, Sequence
import os
import pathlib
import runpy
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from memjax.config import merge
from memjax.errors import ConfigError, nearest, require

OVERRIDES = ('--config.', '--noconfig.')
OF_A_WORKDIR = ('sample', 'report')  # modes that read the workdir's config

SAMPLING = (
  flags.DEFINE_string('prompt', None, 'the text to continue; else a newline'),
  flags.DEFINE_string(
    'prompt_file', None, 'file of the prompt; - is standard input'
  ),
  flags.DEFINE_integer('length', 200, 'number of tokens to generate'),
  flags.DEFINE_float('temperature', 1.0, 'divides the logits; 0 is greedy'),
  flags.DEFINE_integer('top_k', 0, 'keep the K most likely tokens; 0: all'),
  flags.DEFINE_float('top_p', 1.0, 'then the top share of probability; 1: all'),
  flags.DEFINE_integer('seed', None, 'random seed of the text; else 0'),
  flags.DEFINE_integer('replica', 0, 'number of the replica, from 0'),
  flags.DEFINE_string('save_carry', None, 'file to save the memory in'),
  flags.DEFINE_string('carry', None, 'file of --save_carry to continue from'),
)


def sampling() -> dict[str, Any]:
  """The flags of `--mode=sample`, by name."""
  return {flag.name: flag.value for flag in SAMPLING}


def describe_flags() -> Iterator[str]:
  """A line for each flag of `--mode=sample`."""
  for flag in SAMPLING:
    default = '...' if flag.default is None else flag.default
    meaning = flags.FLAGS[flag.name].help
    yield f'{f"--{flag.name}={default}":28}{meaning}'


def parse(argv: Sequence[str]) -> tuple[dict[str, Any], str]:
  """Parses all flags.

  Args:
    argv: the command line, the program first.

  Returns:
    The config as nested dicts, and its name, as in `mqar-lstm`; under wandb's
    agent the run's id follows. {} and '' if the command line has no config and
    the mode reads the one in the workdir.

  Raises:
    ConfigError: a flag, the config file, its variant or one of the overrides
      is wrong.
  """
  files = [arg for arg in argv[1:] if arg.startswith('--config=')]
  make_importable('.')
  if not files and _reads_a_workdir(argv[1:]):
    _parse_flags(argv)
    return {}, ''
  configs = ', '.join(sorted(map(str, pathlib.Path().glob('configs/*.py'))))
  require(
    len(files) == 1,
    'config',
    ' '.join(files),
    f'give one --config=FILE; configs here: {configs or "none"}',
  )
  field = files[0].removeprefix('--config=')
  make_importable(os.path.dirname(field.partition(':')[0]))
  overrides = [arg for arg in argv[1:] if arg.startswith(OVERRIDES)]
  config = _override(_load(field), overrides)
  _parse_flags([arg for arg in argv if arg not in overrides])
  file, _, variant = field.partition(':')
  parts = [pathlib.Path(file).stem, *variant.split(',')]
  if 'WANDB_SWEEP_ID' in os.environ:  # each trial needs its own workdir
    parts.append(os.environ['WANDB_RUN_ID'])
  return config.to_dict(), '-'.join(filter(None, parts))


def make_importable(folder: str) -> None:
  """Lets configs name classes and functions of the user's files there."""
  path = os.path.abspath(folder)
  if path not in sys.path:
    sys.path.append(path)


def _reads_a_workdir(args: Sequence[str]) -> bool:
  values = dict(arg.lstrip('-').partition('=')[::2] for arg in args)
  return values.get('mode') in OF_A_WORKDIR and bool(values.get('workdir'))


def _parse_flags(argv: Sequence[str]) -> None:
  try:
    rest = flags.FLAGS(list(argv))
  except flags.Error as error:
    raise ConfigError(
      'flags', str(error).splitlines()[0], 'see --help'
    ) from None
  require(len(rest) == 1, 'flags', ' '.join(rest[1:]), 'is not a flag')


def _override(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
  """The config with every `--config.a.b=value` set, as its field's type."""
  check_overrides(config.to_dict(), overrides)
  whole = ConfigDict(merge.merge_sets(config.to_dict()))
  with config.unlocked():
    for override in overrides:
      _mention(config, whole, _path(override))
  values, args = flags.FlagValues(), ['', *overrides]
  config_flags.DEFINE_config_dict(
    'config', config, flag_values=values, sys_argv=args
  )
  try:
    values(args)
  except flags.Error as error:
    line = str(error).splitlines()[0]
    raise ConfigError('flags', line, 'see --help') from None
  return config


def _mention(config: ConfigDict, whole: ConfigDict, path: list[str]) -> None:
  """Gives the config a field that only the whole evaluation set has."""
  for key in path[:-1]:
    if key not in config:
      config[key] = ConfigDict()
    config, whole = config[key], whole[key]
  if path[-1] not in config:
    config[path[-1]] = whole[path[-1]]


def read_config_file(field: str) -> dict[str, Any]:
  """The config of FILE[:VARIANT] before any override.

  Raises:
    ConfigError: it cannot be read.
  """
  return _load(field).to_dict()


def _load(field: str) -> ConfigDict:
  file, _, variant = field.partition(':')
  try:
    get_config = runpy.run_path(file)['get_config']
    return get_config(variant) if variant else get_config()
  except OSError as error:
    raise ConfigError('config', field, f'{error.strerror}') from None
  except Exception as error:
    line = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('config', field, f'cannot be read: {line}') from None


def check_overrides(config: Mapping[str, Any], args: Sequence[str]) -> None:
  """Requires `--config.a.b=value` to name a field, not a section.

  A field of an evaluation set may be any field of the set in full.

  Raises:
    ConfigError: the config has no such field.
  """
  config = merge.merge_sets(config)
  for arg in args:
    if not arg.startswith(OVERRIDES):
      continue
    path, value = _path(arg), arg.partition('=')[2]
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


def _path(override: str) -> list[str]:
  """['train', 'steps'] of `--config.train.steps=5`."""
  return override.partition('=')[0].partition('.')[2].split('.')
