"""From the command line to a config; every mistake is one line."""

from collections.abc import Iterator, Mapping, Sequence
import os
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from memjax.config import merge
from memjax.config.config_file import FOLDER, find_config_file, load_config
from memjax.errors import ConfigError, nearest, require

OVERRIDES = ('--config.', '--noconfig.')
OF_A_WORKDIR = ('sample', 'report')  # modes that read the workdir's config
MODES = ('train', 'eval', 'sample', 'report')

CONFIG = flags.DEFINE_string('config', '', 'the experiment: FILE[:VARIANT]')
WORKDIR = flags.DEFINE_string('workdir', '', 'folder of the run')
MODE = flags.DEFINE_enum('mode', 'train', MODES, 'what to do')
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
  program, *words = argv
  args = join_values(words)
  files = [arg for arg in args if arg.startswith('--config=')]
  make_importable('.')
  if not files and _reads_a_workdir(args):
    _parse_flags([program, *args])
    return {}, ''
  require(
    len(files) == 1,
    'config',
    ' '.join(files),
    'give one --config=FILE, such as --config=quickstart; --list shows all',
  )
  field = files[0].removeprefix('--config=')
  name, _, variant = field.partition(':')
  file = find_config_file(name)
  if file.parent == FOLDER:
    print(f'memjax: --config={name} is {file}', file=sys.stderr)
  make_importable(os.path.dirname(file))
  overrides = [arg for arg in args if arg.startswith(OVERRIDES)]
  config = _override(load_config(file, variant), overrides)
  _parse_flags([program, *(arg for arg in args if arg not in overrides)])
  parts = [file.stem, *variant.split(',')]
  if 'WANDB_SWEEP_ID' in os.environ:  # each trial needs its own workdir
    parts.append(os.environ['WANDB_RUN_ID'])
  return config.to_dict(), '-'.join(filter(None, parts))


def join_values(words: Sequence[str]) -> list[str]:
  """The arguments with `--flag VALUE` written as `--flag=VALUE`."""
  args: list[str] = []
  for word in words:
    last = args[-1] if args else ''
    waits = last.startswith('--') and '=' not in last
    if waits and not word.startswith('--') and not last.startswith('--no'):
      args[-1] = f'{last}={word}'
    else:
      args.append(word)
  return args


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
  file, _, variant = field.partition(':')
  return load_config(find_config_file(file), variant).to_dict()


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
