"""Names to classes and functions. A new file is found by its name.

`file.Class` is a class in the section's package (`lstm.LSTM` among the models,
`compression.Compression` among the tasks); a full path is a class or a function
of the user's own, in a file of an importable folder: the current one, that of
the config file, or those that a workdir recorded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
import functools
import importlib
import os
import pkgutil
import site
import sys
import sysconfig
import traceback
from types import ModuleType
from typing import Any

from memjax.errors import ConfigError, nearest, require

LISTS = 'memjax --list'  # the command that names everything


def find_class(name: str, package: str, field: str) -> type:
  """The class `file.Class` of the package, or the one at a full path.

  Args:
    name: what the config says.
    package: where short names are looked up, 'memjax.models'.
    field: where in the config the name stands.

  Raises:
    ConfigError: there is no such class.
  """
  module_name, _, class_name = name.rpartition('.')
  inside = modules(package)
  if not module_name:
    known: Iterable[str] = inside
    if name in inside:
      here = importlib.import_module(inside[name])
      known = [f'{name}.{one}' for one in _dataclasses(here)]
    rule = f'must be file.Class; {nearest(name, known, LISTS)}'
    raise ConfigError(field, name, rule)
  path = inside.get(module_name, module_name)
  rule = f'no such module; {nearest(module_name, inside, LISTS)}'
  module = _import(path, field, name, rule, f'{package} and in ')
  found = _dataclasses(module)
  if class_name not in found:
    raise ConfigError(
      field, name, f'no such class there; {nearest(class_name, found)}'
    )
  return found[class_name]


def find_function(
  name: str, known: Mapping[str, Callable[..., Any]], field: str
) -> Callable[..., Any]:
  """The known function of this name, or the user's own at a full path.

  Args:
    name: a key of `known`, or `my_module.my_function` of a module that can be
      imported.
    known: functions by the names that a config gives them.
    field: where in the config the name stands.

  Raises:
    ConfigError: there is no such function.
  """
  if name in known:
    return known[name]
  module_name, _, function_name = name.rpartition('.')
  rule = f'is not known; {nearest(name, known, LISTS)}'
  require(bool(module_name), field, name, rule)
  module = _import(module_name, field, name, rule)
  functions = {n for n, value in vars(module).items() if callable(value)}
  rule = f'is not in {module_name}; {nearest(function_name, functions)}'
  require(function_name in functions, field, name, rule)
  return getattr(module, function_name)


def make_importable(*folders: str | os.PathLike[str]) -> None:
  """Lets configs name classes and functions of the user's files there."""
  for folder in folders:
    path = os.path.abspath(folder)
    if path not in sys.path:
      sys.path.append(path)


def own_folders() -> list[str]:
  """The folders of `sys.path` that are not Python's or its packages'."""
  installed = {
    *(sysconfig.get_path(key) for key in ('stdlib', 'purelib', 'scripts')),
    *site.getsitepackages(),
    site.getusersitepackages(),
  }
  return [
    folder
    for folder in dict.fromkeys(map(os.path.abspath, sys.path))
    if os.path.isdir(folder) and not folder.startswith(tuple(installed))
  ]


def _import(
  path: str, field: str, name: str, missing: str, package: str = ''
) -> ModuleType:
  """The module at a dotted path; every failure is a ConfigError.

  Args:
    path: the module.
    field: where in the config the name stands.
    name: what the config says.
    missing: the rule if there is no such module.
    package: words about where else it was looked for.
  """
  rule = 'must be FILE.NAME, as in my_memory.Decay, and not a path'
  require(path[0] != '.' and not {'/', '\\'} & {*path}, field, name, rule)
  try:
    return importlib.import_module(path)
  except Exception as error:
    absent = isinstance(error, ModuleNotFoundError)
    if absent and f'{path}.'.startswith(f'{getattr(error, "name", "")}.'):
      looked = f'looked in {package}{", ".join(own_folders())}'
      raise ConfigError(field, name, f'{missing}; {looked}') from None
    line = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError(
      field, name, f'{path} cannot be imported: {line}{_place(error)}'
    ) from error


def classes(package: str) -> Iterator[tuple[str, type]]:
  """Every dataclass inside a package, by the name that a config gives it."""
  for file, path in modules(package).items():
    module = importlib.import_module(path)
    for name, value in _dataclasses(module).items():
      yield f'{file}.{name}', value


def load(path: str) -> Any:
  """The class or function of memjax at a full dotted path."""
  return pkgutil.resolve_name(path)


def modules(package: str) -> dict[str, str]:
  """{file name: dotted path} of every module inside a package."""
  return _inside(package, tuple(importlib.import_module(package).__path__))


@functools.cache
def _inside(package: str, folders: tuple[str, ...]) -> dict[str, str]:
  return {
    module.name.rpartition('.')[2]: module.name
    for module in pkgutil.walk_packages(folders, f'{package}.')
    if not module.ispkg
  }


def _place(error: Exception) -> str:
  """Where an import failed; a SyntaxError says so itself."""
  frames = traceback.extract_tb(error.__traceback__)
  if isinstance(error, SyntaxError) or not frames:
    return ''
  return f' ({frames[-1].filename}, line {frames[-1].lineno})'


def _dataclasses(module: ModuleType) -> dict[str, type]:
  """Those that the module itself defines."""
  return {
    name: value
    for name, value in vars(module).items()
    if isinstance(value, type)
    and dataclasses.is_dataclass(value)
    and value.__module__ == module.__name__
  }
