"""README and docs hold: their commands run, their flags and fields exist."""

from collections.abc import Iterator
import dataclasses
import functools
import inspect
import os
from pathlib import Path
import re
import runpy
import shlex
import subprocess
import sys
from typing import Any

import pytest

from memjax.config.find import classes
from memjax.config.merge import merge_sets
from memjax.config.sections import flatten
from memjax.evaluation.stream import Loss
from tests.flags import xla_flags

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
RUNNING = (ROOT / 'docs/running.md').read_text(encoding='utf-8')
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
PLACEHOLDER = 'config.a.b'
VIEWERS = ('wandb', 'tensorboard', 'optuna-dashboard')
OF_PYTEST = ['python', '-m', 'pytest']
SHORT = ['--config.train.steps=2', '--config.log.wandb.mode=disabled']


def blocks(text: str, language: str) -> list[str]:
  """The code blocks of a language."""
  return re.findall(rf'^```{language}\n(.*?)^```$', text, re.M | re.S)


def inline(text: str) -> list[str]:
  """Inline code, outside of blocks."""
  return re.findall(r'`([^`]+)`', re.sub(r'```.*?```', '', text, flags=re.S))


def commands(text: str) -> list[list[str]]:
  """Every command of the bash blocks, as words."""
  return [
    shlex.split(command)
    for block in blocks(text, 'bash')
    for line in block.splitlines()
    for command in line.split('&&')
  ]


def get_config(file: Path) -> Any:
  return runpy.run_path(str(file))['get_config']


def quick(argument: str) -> str:
  """`--config=NAME:VARIANT` as its quick variant; a reader's own as it is."""
  name, _, variant = argument.removeprefix('--config=').partition(':')
  file = ROOT / 'configs' / f'{Path(name).stem}.py'
  if not file.is_file():
    return argument
  default = inspect.signature(get_config(file)).parameters['variant'].default
  return f'--config={name}:{variant or default},quick'


def shortened(words: list[str]) -> list[str]:
  """A command that trains, made short and otherwise as written."""
  if not any(word.startswith('--config=') for word in words):
    return words
  words = [quick(w) if w.startswith('--config=') else w for w in words]
  return [*words, *SHORT]


OF_A_SET = dataclasses.fields(Loss)


def known_fields() -> set[str]:
  """Every field and section of every config, model and task."""
  fields: set[str] = set()
  for section, package in (
    ('model', 'memjax.models'),
    ('model.layer', 'memjax.models'),
    ('task', 'memjax.tasks'),
  ):
    for _, cls in classes(package):
      names = cls.__dataclass_fields__  # type: ignore[attr-defined]
      fields.update(f'{section}.{name}' for name in names)
  for path in (ROOT / 'configs').glob('*.py'):
    names = runpy.run_path(str(path))
    if 'get_config' in names:
      config = names['get_config']().to_dict()
      fields.update(field_paths(config), field_paths(merge_sets(config)))
      for name in config['evals']:
        fields.update(f'evals.{name}.{field.name}' for field in OF_A_SET)
  return fields


def field_paths(config: dict[str, Any], section: str = '') -> Iterator[str]:
  """The path of every field, and of every section, which may be empty."""
  for name, value in config.items():
    yield section + name
    if isinstance(value, dict):
      yield from field_paths(value, f'{section}{name}.')


@functools.cache
def known_flags() -> set[str]:
  """The flags that memjax defines, and --help, without absl's own."""
  script = (
    'import memjax.__main__; from absl import flags\n'
    'for module, defined in flags.FLAGS.flags_by_module_dict().items():\n'
    '  if module.startswith("memjax"):\n'
    '    print(*(flag.name for flag in defined))'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script],
    cwd=ROOT,
    capture_output=True,
    check=True,
    text=True,
  )
  return {'help', 'list', *ran.stdout.split()}


def unknown(text: str) -> Iterator[str]:
  """Flags, fields and config files in the text that do not exist."""
  fields, flags = known_fields(), known_flags()
  sections = {field.partition('.')[0] for field in fields}
  ours = [
    words[words.index('memjax') :]
    for words in commands(text)
    if 'memjax' in words
  ]
  for code in [*inline(text), *map(' '.join, ours)]:
    for name, value in re.findall(r'(?<!\S)--([\w.]+)(?:=(\S+))?', code):
      exists = name.removeprefix('config.') in fields or name in flags
      file = re.match(r'configs/\w+\.py', value)
      if not (exists or name == PLACEHOLDER) or (
        file and not (ROOT / file[0]).exists()
      ):
        yield f'--{name}={value}'
    of_data = code.endswith(('.txt', '.bin'))
    section = re.fullmatch(r'([a-z_]+)(\.[a-z_]+)+', code)
    known = code in fields or of_data
    if section and section[1] in sections and not known:
      yield code


def test_help_names_every_flag(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.chdir(ROOT)
  assert len(known_flags()) > 10
  helped = set(re.findall(r'^(?:memjax)? *--(\w+)', launch(['--help']), re.M))
  assert helped == known_flags()


def test_ci_runs_the_readmes_tests_and_the_slow_ones() -> None:
  assert OF_PYTEST in commands(README)
  lines = (ROOT / '.ci/run').read_text(encoding='utf-8').splitlines()
  ran = [line.split() for line in lines if line.startswith('python -m pytest')]
  assert ran == [OF_PYTEST, [*OF_PYTEST, '-m', 'slow']]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_flags_and_fields_exist(page: Path) -> None:
  assert len(inline(RUNNING)) > 30
  assert list(unknown(page.read_text(encoding='utf-8'))) == []


@pytest.mark.parametrize(
  ('text', 'found'),
  [
    ('`train.stpes`', ['train.stpes']),
    ('`--config.task.pth=FILE`', ['--config.task.pth=FILE']),
    ('`--lenght=3`', ['--lenght=3']),
    ('`--config=configs/new.py:a`', ['--config=configs/new.py:a']),
    ('```bash\nmemjax --prmpt="a b"\n```', ['--prmpt=a']),
    ('`parallel.fsdp` `config.json` `model.apply` `run.step`', ['model.apply']),
  ],
)
def test_a_name_that_does_not_exist_is_found(
  text: str, found: list[str]
) -> None:
  assert list(unknown(text)) == found


def test_overrides_for_own_text_are_fields_of_its_config() -> None:
  [line] = [c for c in blocks(README, 'bash') if 'task.path=' in c]
  code = next(c for c in line.splitlines() if 'task.path=' in c)
  fields = flatten(get_config(ROOT / 'configs/text.py')('gru').to_dict())
  overrides = re.findall(r'--config\.([\w.]+)=', code)
  assert len(overrides) >= 2
  assert set(overrides) <= fields.keys()


def launch(words: list[str], cwd: Path = ROOT) -> str:
  """The standard output of the command."""
  ran = subprocess.run(
    [sys.executable, '-m', 'memjax', *words],
    capture_output=True,
    cwd=cwd,
    env=os.environ
    | {'PYTHONPATH': f'{ROOT}', 'XLA_FLAGS': xla_flags(devices=1)},
    text=True,
    timeout=300,
  )
  assert ran.returncode == 0, ran.stderr
  return ran.stdout


@pytest.mark.slow
def test_the_readme_runs_as_written(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)  # as in a notebook of this folder
  text = 'Once upon a time there was a memory that forgot. '
  (tmp_path / 'my_text').mkdir()
  (tmp_path / 'my_text' / 'tale.txt').write_text(100 * text)
  outputs: dict[str, str] = {}
  names: dict[str, Any] = {}
  for language, code in re.findall(
    r'^```(python|bash)\n(.*?)^```$', README, re.M | re.S
  ):
    file = re.match(r'# (\w+\.py)\n', code)
    if file:
      (tmp_path / file[1]).write_text(code)
    elif language == 'python':
      exec(code, names)
    for line in code.splitlines() if language == 'bash' else ():
      program, *words = shlex.split(line)
      if program == 'memjax':
        outputs[line] = launch(shortened(words), tmp_path)
      else:
        assert program in ('pip', 'python', *VIEWERS)
  first = outputs['memjax --config=quickstart']
  assert re.search(r'bits_per_byte +\d', first)
  assert (tmp_path / 'runs/text/report/index.html').stat().st_size > 10_000
  assert names['run'].step == 2
  assert len(outputs) >= 6
  for page in ('checkpoints.md', 'notebooks.md'):  # they load the same run
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    for code in blocks(text, 'python'):
      exec(code, names)
  assert names['y'].shape == (8, 32, 16)


def test_the_contract_takes_twelve_lines() -> None:
  [code] = [c for c in blocks(README, 'python') if '_, again = ' in c]
  lines = [line for line in code.splitlines() if line]
  assert len(lines) <= 12
  exec(code, {})
