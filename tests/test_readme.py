"""README and docs hold: their commands run, their flags and fields exist."""

from collections.abc import Iterator
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

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memjax
from memjax.config.merge import merge_sets
from memjax.config.sections import flatten
from memjax.tasks.base import Stream
from tests.flags import xla_flags

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
RUNNING = (ROOT / 'docs/running.md').read_text(encoding='utf-8')
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
PLACEHOLDER = 'config.a.b'
OF_PYTEST = ['python', '-m', 'pytest']
SHORT = ['--config.train.steps=2']  # of quick variants, which have 2 as well


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


def get_config(file: str) -> Any:
  return runpy.run_path(str(ROOT / file))['get_config']


def quick(argument: str) -> str:
  """`--config=FILE:VARIANT` as its quick variant."""
  file, _, variant = argument.removeprefix('--config=').partition(':')
  default = inspect.signature(get_config(file)).parameters['variant'].default
  return f'--config={file}:{variant or default},quick'


def shortened(words: list[str]) -> list[str]:
  """A launch.py command, made short and otherwise as written."""
  words = [quick(w) if w.startswith('--config=') else w for w in words]
  return [*words, *SHORT]


def known_fields() -> set[str]:
  """Every field, and every section, of every config."""
  fields: set[str] = set()
  for path in (ROOT / 'configs').glob('*.py'):
    names = runpy.run_path(str(path))
    if 'get_config' in names:
      config = names['get_config']().to_dict()
      fields.update(field_paths(config), field_paths(merge_sets(config)))
  return fields


def field_paths(config: dict[str, Any], section: str = '') -> Iterator[str]:
  """The path of every field, and of every section, which may be empty."""
  for name, value in config.items():
    yield section + name
    if isinstance(value, dict):
      yield from field_paths(value, f'{section}{name}.')


@functools.cache
def known_flags() -> set[str]:
  """The flags that `launch.py` defines, and --help, without absl's own."""
  script = (
    'import launch; from absl import flags\n'
    'for module, defined in flags.FLAGS.flags_by_module_dict().items():\n'
    '  if module.startswith(("launch", "memjax")):\n'
    '    print(*(flag.name for flag in defined))'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script],
    cwd=ROOT,
    capture_output=True,
    check=True,
    text=True,
  )
  return {'help', *ran.stdout.split()}


def unknown(text: str) -> Iterator[str]:
  """Flags, fields and config files in the text that do not exist."""
  fields, flags = known_fields(), known_flags()
  sections = {field.partition('.')[0] for field in fields}
  for code in [*inline(text), *map(' '.join, commands(text))]:
    for name, value in re.findall(r'(?<!\S)--([\w.]+)(?:=(\S+))?', code):
      exists = name.removeprefix('config.') in fields or name in flags
      file = re.match(r'configs/\w+\.py', value)
      if not (exists or name == PLACEHOLDER) or (
        file and not (ROOT / file[0]).exists()
      ):
        yield f'--{name}={value}'
    section = re.fullmatch(r'([a-z_]+)(\.[a-z_]+)+', code)
    if section and section[1] in sections and code not in fields:
      yield code


def test_help_names_every_flag(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.chdir(ROOT)
  assert len(known_flags()) > 10
  helped = set(re.findall(r'^--(\w+)', launch(['--help']), re.M))
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
    ('```bash\npython launch.py --prmpt="a b"\n```', ['--prmpt=a']),
    ('`parallel.fsdp` `config.json` `model.apply` `run.step`', ['model.apply']),
  ],
)
def test_a_name_that_does_not_exist_is_found(
  text: str, found: list[str]
) -> None:
  assert list(unknown(text)) == found


def test_overrides_for_own_text_are_fields_of_its_config() -> None:
  [code] = [c for c in inline(RUNNING) if 'task.path=' in c]
  [file] = re.findall(r'--config=(\S+)', code)
  fields = flatten(get_config(file)().to_dict())
  overrides = re.findall(r'--config\.([\w.]+)=', code)
  assert len(overrides) >= 2
  assert set(overrides) <= fields.keys()


def launch(words: list[str]) -> str:
  """The standard output of the command."""
  ran = subprocess.run(
    [sys.executable, 'launch.py', *words],
    capture_output=True,
    env=os.environ | {'XLA_FLAGS': xla_flags(devices=1)},
    text=True,
    timeout=300,
  )
  assert ran.returncode == 0, ran.stderr
  return ran.stdout


def notebook() -> dict[str, Any]:
  """The variables that the README's Python code expects."""
  run = memjax.load('runs/recall')
  task, rows = run.experiment.task, run.config['train']['batch_size']
  batch = task.batch(task.rows(Stream(0, 0, rows), 0, np.arange(rows)))
  return {'inputs': batch.inputs, 'reset': batch.reset_BT}


@pytest.mark.slow
def test_commands_and_code_run_as_written(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  for name in ('launch.py', 'configs', 'requirements.txt'):
    (tmp_path / name).symlink_to(ROOT / name)
  monkeypatch.chdir(tmp_path)
  outputs = []
  for words in commands(README):
    if words[:2] == ['python', 'launch.py']:
      outputs.append(launch(shortened(words[2:])))
    elif words != OF_PYTEST:
      assert words[:-1] == ['pip', 'install', '-r']
      assert Path(words[-1]).exists()
  quickstart, training, evaluation, sampling = outputs
  assert re.search(r'bits_per_byte +\d', quickstart)
  assert 'Everything is in runs/recall: metrics.jsonl' in training
  assert evaluation.strip() in training
  assert len(sampling) > 100

  [code], names = blocks(README, 'python'), notebook()
  exec(code, names)
  assert names['logits'].shape[:2] == names['inputs'].shape
  assert np.isfinite(names['logits']).all()
  before, after = (
    jax.tree.map(jnp.shape, carry)
    for carry in (names['run'].carry, names['carry'])
  )
  assert before == after
