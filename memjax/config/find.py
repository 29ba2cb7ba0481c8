"""Names to classes and functions. A new file is found by its name.

`file.Class` is a class in the section's package (`lstm.LSTM` among the models,
`compression.Compression` among the tasks); a full path is a class or a function
of the user's own.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from memjax.errors import ConfigError, nearest, require


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
  require(
    bool(module_name),
    field,
    name,
    f'must be file.Class; {nearest(name, inside)}',
  )
  module_name = inside.get(module_name, module_name)
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not module_name.startswith(error.name):
      raise
    raise ConfigError(
      field, name, f'no such module; {nearest(module_name, inside)}'
    ) from None
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
  rule = f'is not known; {nearest(name, known)}'
  require(bool(module_name), field, name, rule)
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not f'{module_name}.'.startswith(f'{error.name}.'):
      raise
    raise ConfigError(field, name, rule) from None
  functions = {n for n, value in vars(module).items() if callable(value)}
  rule = f'is not in {module_name}; {nearest(function_name, functions)}'
  require(function_name in functions, field, name, rule)
  return getattr(module, function_name)


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
  folder = importlib.import_module(package).__path__
  return {
    module.name.rpartition('.')[2]: module.name
    for module in pkgutil.walk_packages(folder, f'{package}.')
    if not module.ispkg
  }


def _dataclasses(module: ModuleType) -> dict[str, type]:
  """Those that the module itself defines."""
  return {
    name: value
    for name, value in vars(module).items()
    if isinstance(value, type)
    and dataclasses.is_dataclass(value)
    and value.__module__ == module.__name__
  }
