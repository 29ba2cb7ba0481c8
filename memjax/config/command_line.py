"""From the command line to a config; every mistake is one line."""

from collections.abc import Iterator, Sequence
import difflib
import os
import sys
from typing import Any

from absl import flags

from memjax.config.config_file import FOLDER, find_config_file, load_config
from memjax.config.find import make_importable
from memjax.config.overrides import PREFIXES, override
from memjax.errors import ConfigError, require

# The modes that read a workdir need no config.
OF_A_WORKDIR = ('eval', 'export', 'sample', 'report', 'verify', 'replay')
IMPORT, SNAPSHOT = 'import', 'snapshot'
MODES = ('train', *OF_A_WORKDIR, 'check', IMPORT, SNAPSHOT)

CONFIG = flags.DEFINE_string('config', '', 'the experiment: FILE[:VARIANT]')
WORKDIR = flags.DEFINE_string('workdir', '', 'folder of the run')
MODE = flags.DEFINE_enum('mode', 'train', MODES, 'what to do')
SET = flags.DEFINE_string('set', None, 'the evaluation set; else every set')
STEP = flags.DEFINE_string('step', 'latest', 'the checkpoint: latest, best, N')
OUTPUT = flags.DEFINE_string(
  'output', None, 'file of the export; else DIR/weights.safetensors'
)
FROM = flags.DEFINE_string(
  'from', None, 'the pretrained model to import: a folder or a file'
)
FAMILY = flags.DEFINE_string(
  'family', '', 'export as this model_type, llama; else one file'
)
REPLICA = flags.DEFINE_integer('replica', 0, 'number of the replica, from 0')
PROFILE = flags.DEFINE_string(
  'profile', '', 'steps to trace: a number, 10, or a range, 100:110'
)
STORE = (
  flags.DEFINE_string(
    'store', '', 'file or postgresql://... of an external memory'
  ),
  flags.DEFINE_string('space', '', 'whose records in the store'),
  flags.DEFINE_float('store_share', 0.9, 'the most that records count'),
)
MIXING = (
  flags.DEFINE_integer('store_count', 8, 'records that a state of eval finds'),
  flags.DEFINE_float('store_temperature', 0.03, 'of the cosines of records'),
  flags.DEFINE_float(
    'store_reach', 0.1, 'cosines this far below 1 count 1/e; inf: all alike'
  ),
)
SAMPLING = (
  flags.DEFINE_string('prompt', None, 'the text to continue; else none'),
  flags.DEFINE_string(
    'prompt_file', None, 'file of the prompt; - is standard input'
  ),
  flags.DEFINE_integer('length', 200, 'number of tokens to generate'),
  flags.DEFINE_float('temperature', 0.8, 'divides the logits; 0 is greedy'),
  flags.DEFINE_integer('top_k', 0, 'keep the K most likely tokens; 0: all'),
  flags.DEFINE_float('top_p', 1.0, 'then the top share of probability; 1: all'),
  flags.DEFINE_integer(
    'beams', 1, 'answers to keep in a beam search; 1: sample one'
  ),
  flags.DEFINE_integer('seed', None, 'random seed of the text; else 0'),
  REPLICA,
  flags.DEFINE_string('save_carry', None, 'file to save the memory in'),
  flags.DEFINE_string('carry', None, 'file of --save_carry to continue from'),
  *STORE,
  flags.DEFINE_bool('mask', False, 'replace personal data in the prompt'),
)

DRAWING = ('temperature', 'top_k', 'top_p', 'seed')
REPORTING = (
  flags.DEFINE_string('sections', '', 'NAME,NAME of a report; empty: all'),
  flags.DEFINE_string('out', '', 'folder to write the report in'),
)


def reporting() -> dict[str, Any]:
  """The flags of `--mode=report`, by name."""
  return {flag.name: flag.value for flag in REPORTING}


def sampling() -> dict[str, Any]:
  """The flags of `--mode=sample`, by name; refuses two ways to choose."""
  rule = 'is for drawing, and --beams finds the likeliest text: leave one out'
  for name in DRAWING if flags.FLAGS.beams > 1 else ():
    require(not flags.FLAGS[name].present, name, flags.FLAGS[name].value, rule)
  return {'step': step(), **{flag.name: flag.value for flag in SAMPLING}}


def evaluating() -> dict[str, Any]:
  """The flags of `--mode=eval`, by name."""
  return {
    'overrides': find_overrides(join_values(sys.argv[1:])),
    'set_name': SET.value,
    'step': step(),
    'replica': REPLICA.value,
    **{flag.name: flag.value for flag in (*STORE, *MIXING)},
  }


def storing() -> dict[str, Any]:
  """The flags of `--mode=snapshot`, by name."""
  place = {flag.name: flag.value for flag in STORE[:2]}
  return {**place, 'words': sys.argv[1:]}


def importing() -> dict[str, Any]:
  """The flags of `--mode=import`, by name."""
  overrides = find_overrides(join_values(sys.argv[1:]))
  return {'source': FROM.value, 'overrides': overrides}


def exporting() -> dict[str, Any]:
  """The flags of `--mode=export`, by name."""
  return {
    'output': OUTPUT.value,
    'step': step(),
    'replica': REPLICA.value,
    'family': FAMILY.value,
  }


def describe_flags() -> Iterator[str]:
  """A line for each flag of the modes that read a workdir."""
  of_workdir = SET, STEP, FROM, FAMILY, OUTPUT
  for flag in (*of_workdir, *SAMPLING, *MIXING, *REPORTING):
    default = '...' if flag.default in (None, '') else flag.default
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
  values = dict(arg.lstrip('-').partition('=')[::2] for arg in args)
  mode, workdir = values.get('mode'), values.get('workdir')
  rule = '--mode=import makes the config: --config.a.b=value changes it'
  require(mode != IMPORT or not files, 'config', ' '.join(files), rule)
  if not files and mode in (IMPORT, *OF_A_WORKDIR):
    rule = f'--mode={mode} needs --workdir=DIR, or the --config of the run'
    require(bool(workdir), 'workdir', '', rule)
    changes = find_overrides(args) if mode in ('eval', IMPORT) else []
    _parse_flags([program, *(arg for arg in args if arg not in changes)])
    return {}, ''
  stray = [arg for arg in args if not arg.startswith('-')]
  rule = 'is not a flag; see --help'
  require(not stray, 'flags', ' '.join(stray), rule)
  rule = 'give one --config=FILE, such as --config=quickstart; --list shows all'
  require(len(files) == 1, 'config', ' '.join(files), rule)
  field = files[0].removeprefix('--config=')
  name, _, variant = field.partition(':')
  file = find_config_file(name)
  make_importable(os.path.dirname(file))
  config = override(load_config(file, variant), args)
  _parse_flags([program, *(a for a in args if not a.startswith(PREFIXES))])
  parts = [file.stem, *variant.split(',')]
  if 'WANDB_SWEEP_ID' in os.environ:  # each trial needs its own workdir
    parts.append(os.environ['WANDB_RUN_ID'])
  if file.parent == FOLDER:
    print(f'memjax: --config={name} is {file}', file=sys.stderr)
  return config, '-'.join(filter(None, parts))


def parse_check(words: Sequence[str]) -> tuple[str, dict[str, str]]:
  """The class and its settings of `memjax check NAME field=value ...`.

  Raises:
    ConfigError: there is no name, or a word sets no field.
  """
  make_importable('.')
  require(bool(words), 'check', '', 'give a class: memjax check lstm.LSTM')
  name, *settings = words
  for word in settings:
    require('=' in word, 'check', word, 'must be field=value, as in slots=8')
  return name, dict(word.split('=', 1) for word in settings)


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


def find_overrides(argv: Sequence[str]) -> list[str]:
  """The arguments that set a field of the config."""
  return [arg for arg in argv if arg.startswith(PREFIXES)]


def step() -> int | str:
  """The checkpoint that `--step` names, as `memjax.load` takes it."""
  return int(STEP.value) if STEP.value.isdecimal() else STEP.value


def _parse_flags(argv: Sequence[str]) -> None:
  try:
    rest = flags.FLAGS(list(argv))
  except flags.UnrecognizedFlagError as error:
    given, value = error.flagname, error.flagvalue.partition('=')[2]
    rule = f'no such flag; {_flag_hint(given)}'
    raise ConfigError(f'--{given}', value, rule) from None
  except flags.Error as error:
    raise ConfigError(
      'flags', str(error).splitlines()[0], 'see --help'
    ) from None
  require(len(rest) == 1, 'flags', ' '.join(rest[1:]), 'is not a flag')


def _flag_hint(name: str) -> str:
  """What may have been meant by an unknown flag."""
  if '.' in name:
    return f'did you mean --config.{name}?'
  near = difflib.get_close_matches(name, list(flags.FLAGS), n=1)
  return f'did you mean --{near[0]}?' if near else 'see --help'


def read_config_file(field: str) -> dict[str, Any]:
  """The config of FILE[:VARIANT] before any override.

  Raises:
    ConfigError: it cannot be read.
  """
  file, _, variant = field.partition(':')
  return override(load_config(find_config_file(file), variant), [])
