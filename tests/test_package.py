"""The package: what it needs, and that it works away from the clone."""

import ast
from collections.abc import Iterator
import importlib.metadata
import os
from pathlib import Path
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile

import pytest

from tests.flags import xla_flags

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
EXTRAS = PROJECT['optional-dependencies']
# What memjax itself imports, by extra; the others are for work on memjax.
OF_MEMJAX = (
  *('bpe', 'data', 'digits', 'pretrained', 'server', 'store', 'sweep'),
  *('tensorboard', 'wandb'),
)
# Projects of modules with another name, where they are not installed.
PROJECTS = {'apsw': ['apsw-sqlite3mc'], 'stdnum': ['python-stdnum']}


def lines(path: Path) -> set[str]:
  """The requirements of a file, without comments."""
  text = re.sub(r'#.*', '', path.read_text(encoding='utf-8'))
  return set(text.split())


def projects(requirements: list[str]) -> set[str]:
  """The names of the projects, as `importlib.metadata` spells them."""
  names = [re.split(r'[\[<>=!~; ]', line)[0] for line in requirements]
  return {re.sub(r'[-_.]+', '-', name).lower() for name in names}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
  """(module, file) of everything imported that is not of Python or memjax."""
  own = {*sys.stdlib_module_names, 'memjax'}
  for path in sorted(folder.rglob('*.py')):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      names: list[str] = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [str(node.module)]
      for name in names:
        if name.partition('.')[0] not in own:
          yield name.partition('.')[0], path.relative_to(ROOT).as_posix()


def test_a_clone_installs_what_the_package_and_its_extras_need() -> None:
  extras = [lines for name, lines in EXTRAS.items() if name != 'docs']
  wanted = {*PROJECT['dependencies']}.union(*extras)
  assert lines(ROOT / 'requirements.txt') == {
    line.replace(' ', '') for line in wanted
  }


def test_what_memjax_imports_is_required_and_what_it_does_not_is_an_extra() -> (
  None
):
  known = projects(PROJECT['dependencies'])
  for extra in OF_MEMJAX:
    known |= projects(EXTRAS[extra])
  of_module = importlib.metadata.packages_distributions()
  missing = {
    (module, file)
    for module, file in imported(ROOT / 'memjax')
    if not known
    & projects(of_module.get(module, PROJECTS.get(module, [module])))
  }
  assert missing == set()
  for name in ('pytest', 'mypy', 'ruff', 'optuna', 'scikit-learn', 'wandb'):
    assert name not in projects(PROJECT['dependencies'])


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """memjax as a wheel, built without a network."""
  folder = tmp_path_factory.mktemp('wheel')
  source = tmp_path_factory.mktemp('source')
  for name in ('memjax', 'configs', 'LICENSE', 'pyproject.toml', 'README.md'):
    subprocess.run(['cp', '-a', ROOT / name, source], check=True)
  command = ['pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
  subprocess.run(
    [sys.executable, '-m', *command, '-w', folder, source], check=True
  )
  [path] = folder.glob('memjax-*.whl')
  return path


@pytest.mark.slow
def test_a_wheel_holds_one_package_with_the_configs(wheel: Path) -> None:
  names = zipfile.ZipFile(wheel).namelist()
  folders = {name.partition('/')[0] for name in names}
  assert {name for name in folders if '.dist-info' not in name} == {'memjax'}
  for path in (ROOT / 'configs').glob('*.py'):
    assert f'memjax/configs/{path.name}' in names


@pytest.mark.slow
@pytest.mark.parametrize(
  'config', ['quickstart:transformer_xl,quick', 'configs/mqar.py:lstm,quick']
)
def test_an_installed_memjax_trains_in_an_empty_folder(
  config: str, wheel: Path, tmp_path: Path
) -> None:
  environment, here = tmp_path / 'environment', tmp_path / 'here'
  here.mkdir()
  subprocess.run(
    [sys.executable, '-m', 'venv', '--without-pip', environment], check=True
  )
  python = environment / 'bin' / 'python'
  [packages] = environment.glob('lib/python*/site-packages')
  # Dependencies are those of this environment; memjax is the wheel's.
  (packages / 'here.pth').write_text(sysconfig.get_path('purelib'))
  pip = f'pip --python {python} install -q --no-deps --no-index {wheel}'
  subprocess.run([sys.executable, '-m', *pip.split()], check=True)

  def run(*command: str | Path) -> str:
    done = subprocess.run(
      command,
      cwd=here,
      env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
      | {'XLA_FLAGS': xla_flags(devices=1)},
      capture_output=True,
      text=True,
      timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr

  trained = run(
    environment / 'bin' / 'memjax', '--config', config, '--workdir', 'run'
  )
  name = config.partition(':')[0]
  assert f'memjax: --config={name} is {packages}/memjax/configs' in trained
  assert re.search(r'Everything is in run\b', trained)
  assert (here / 'run' / 'metrics.jsonl').read_text().count('"step": 2') >= 2
  listed = run(python, '-m', 'memjax', '--list')
  assert 'configs/quickstart.py' in listed
  assert 'lstm.LSTM' in listed
