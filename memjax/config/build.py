"""Names to objects: `{'name': 'lstm.LSTM', **fields}` becomes an LSTM.

A name is a dotted path inside the section's package (`lstm.LSTM` among the
models, `compression.Compression` among the tasks) or a full path to a class
of the user's own. The remaining keys are the fields of that dataclass; a nested
mapping that has a name of its own is built first. There is no registry: a new
file is found by its name. Functions, of optimisers and schedules, are found and
called here as well.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

from memjax.errors import ConfigError, nearest, require
from memjax.evaluation.base import Evaluation
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Spec

NOT_WHOLE = {  # {package: why a class that lacks the given fields is refused}
  'memjax.models': (
    'is a layer, not a whole model: put it inside stack.Stack as its memory'
  ),
  'memjax.evaluation': 'is not an Evaluation of memjax.evaluation.base',
}


def build_task(spec: Mapping[str, Any]) -> Task:
  """The task that a config's `task` section names."""
  return _build(spec, 'memjax.tasks', 'task', {})


def build_model(
  spec: Mapping[str, Any], input_spec: Spec, output_spec: Spec
) -> Memory:
  """The model that a config's `model` section names, between these specs."""
  given = {'input_spec': input_spec, 'output_spec': output_spec}
  return _build(spec, 'memjax.models', 'model', given)


def build_evaluation(
  spec: Mapping[str, Any], field: str, given: Mapping[str, Any]
) -> Evaluation:
  """The evaluation that a set of a config's `evals` section names."""
  return _build(spec, 'memjax.evaluation', field, given)


def construct(
  cls: type,
  spec: Mapping[str, Any],
  field: str,
  given: Mapping[str, Any] | None = None,
) -> Any:
  """cls(**spec, **given), every complaint a ConfigError under `field`.

  Args:
    cls: a dataclass or linen module.
    spec: the fields the user set.
    field: where in the config the spec stands.
    given: fields that are not the user's to set.

  Raises:
    ConfigError: a field is unknown, missing, of the wrong type, or refused by
      the class itself.
  """
  given = given or {}
  known = {f.name: f for f in dataclasses.fields(cls) if f.init}
  linens_own = ('parent', 'name') if issubclass(cls, Memory) else ()
  settable = [name for name in known if name not in (*linens_own, *given)]
  for key, value in spec.items():
    if key not in settable:
      raise ConfigError(
        f'{field}.{key}', value, f'no such field; {nearest(key, settable)}'
      )
    _check_type(f'{field}.{key}', value, known[key].type)
  for name in settable:
    required = (
      known[name].default is dataclasses.MISSING
      and known[name].default_factory is dataclasses.MISSING
    )
    if required and name not in spec:
      raise ConfigError(f'{field}.{name}', '', 'must be given')
  try:
    return cls(**spec, **given)
  except ConfigError as error:
    raise error.within(field) from None


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


def call_with_options(
  function: Callable[..., Any],
  provided: Mapping[str, Any],
  options: Mapping[str, Any],
  field: str,
) -> Any:
  """Calls a function with a user's options, every complaint a ConfigError.

  Args:
    function: its signature says which options there are.
    provided: arguments that are not the user's to set; those that the function
      does not take are left out.
    options: the user's arguments.
    field: where in the config the options stand.

  Raises:
    ConfigError: an option is unknown or missing, or the function refuses one.
  """
  takes = inspect.signature(function).parameters
  open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
  settable = [name for name in takes if name not in provided]
  for option, value in options.items():
    fits = option in settable or (open_ended and option not in provided)
    rule = f'is not an option; {nearest(option, settable)}'
    require(fits, f'{field}.{option}', value, rule)
  for name in settable:
    parameter = takes[name]
    given = (
      name in options
      or parameter.default is not parameter.empty
      or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )
    require(given, f'{field}.{name}', '', 'must be given')
  arguments = {k: v for k, v in provided.items() if open_ended or k in takes}
  try:
    return function(**arguments, **options)
  except ConfigError as error:
    raise error.within(field) from None
  except (TypeError, ValueError) as error:
    rule = f'refused by {function.__name__}: {str(error).splitlines()[0]}'
    raise ConfigError(field, dict(options), rule) from error


def _check_type(field: str, value: Any, wanted: Any) -> None:
  if wanted not in (bool, int, float, str):
    return
  fits = type(value) is wanted or (wanted is float and type(value) is int)
  require(fits, field, value, f'must be of type {wanted.__name__}')


def _build(
  spec: Mapping[str, Any], package: str, field: str, given: Mapping[str, Any]
) -> Any:
  if 'name' not in spec:
    raise ConfigError(field, dict(spec), 'needs a name, a dotted path')
  cls = _find(spec['name'], package, f'{field}.name')
  if not given.keys() <= {f.name for f in dataclasses.fields(cls)}:
    raise ConfigError(f'{field}.name', spec['name'], NOT_WHOLE[package])
  parts = {
    key: _build(value, package, f'{field}.{key}', {})
    if isinstance(value, Mapping)
    else value
    for key, value in spec.items()
    if key != 'name'
  }
  return construct(cls, parts, field, given)


def _find(name: str, package: str, field: str) -> type:
  """The class `file.Class` of the package, or the one at a full path."""
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
  there = _dataclasses(module)
  if class_name not in there:
    raise ConfigError(
      field, name, f'no such class there; {nearest(class_name, there)}'
    )
  return there[class_name]


def classes(package: str) -> Iterator[tuple[str, type]]:
  """Every dataclass inside a package, by the name that a config gives it."""
  for file, path in modules(package).items():
    module = importlib.import_module(path)
    for name, value in _dataclasses(module).items():
      yield f'{file}.{name}', value


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
