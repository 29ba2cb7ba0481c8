"""The source files of a user's own classes, kept with the run.

A config may name classes and functions outside memjax. Their modules, and the
user's modules beside them that these import, are copied into the workdir:

    sources/SHA256/my_memory.py

`run.json` has name, SHA-256 and copy of each at every start. So a workdir loads
where the files themselves are not found.
"""

from collections.abc import Mapping
import hashlib
from pathlib import Path
import shutil
import site
import sys
import sysconfig
from types import ModuleType
from typing import Any

from memjax.config.sections import flatten

FOLDER = 'sources'
SECTIONS = ('model', 'task', 'evals', 'optim')
PACKAGE = Path(__file__).parents[1]
INSTALLED = [
  PACKAGE,
  Path(sysconfig.get_paths()['stdlib']).resolve(),
  *(Path(folder).resolve() for folder in site.getsitepackages()),
  Path(site.getusersitepackages()).resolve(),
]


def save_sources(workdir: Path, config: Mapping[str, Any]) -> dict[str, Any]:
  """Copies the source files into the workdir.

  Args:
    workdir: the folder of a run.
    config: names the classes, which have been imported.

  Returns:
    {module: {'sha256': ..., 'copy': path in the workdir}}.

  Raises:
    OSError: a copy cannot be written.
  """
  record = {}
  for name, path in own_modules(config).items():
    digest = sha256(path)
    parents = name.split('.')
    if path.name != '__init__.py':
      del parents[-1]
    copy = Path(FOLDER, digest[:12], *parents, path.name)
    (workdir / copy).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, workdir / copy)
    record[name] = {'sha256': digest, 'copy': str(copy)}
  return record


def saved_sources(workdir: Path) -> list[Path]:
  """The folders of the copies, those of the last start first."""

  def newest(folder: Path) -> int:
    times = (path.stat().st_mtime_ns for path in folder.rglob('*.py'))
    return max(times, default=0)

  folders = (workdir / FOLDER).glob('*')
  return sorted(folders, key=newest, reverse=True)


def sha256(path: Path) -> str:
  """The digest of a file."""
  return hashlib.sha256(path.read_bytes()).hexdigest()


def own_modules(config: Mapping[str, Any]) -> dict[str, Path]:
  """The files of modules outside memjax that a config names, by module."""
  sections = {name: config[name] for name in SECTIONS}
  found: dict[str, Path] = {}
  for value in flatten(sections).values():
    module = sys.modules.get(str(value).rpartition('.')[0])
    path = _own_file(module)
    if module and path:
      _add(found, module, path.parent)
  return dict(sorted(found.items()))


def _add(found: dict[str, Path], module: ModuleType, folder: Path) -> None:
  """Adds the module, and those below the folder that it imports."""
  path = _own_file(module)
  if path is None or module.__name__ in found:
    return
  if not path.is_relative_to(folder):
    return
  found[module.__name__] = path
  for name in _imported(module):
    if name in sys.modules:
      _add(found, sys.modules[name], folder)


def _own_file(module: ModuleType | None) -> Path | None:
  """The module's file; None if it is installed, built in or no module."""
  file = module and getattr(module, '__file__', None)
  if not file:
    return None
  path = Path(file).resolve()
  installed = any(path.is_relative_to(folder) for folder in INSTALLED)
  return None if installed else path


def _imported(module: ModuleType) -> list[str]:
  """The names of the modules that a module's globals come from."""
  return [
    value.__name__
    if isinstance(value, ModuleType)
    else str(getattr(value, '__module__', ''))
    for value in vars(module).values()
  ]
