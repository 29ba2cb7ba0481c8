"""Specs to objects: `{'name': 'lstm.LSTM', **fields}` becomes an LSTM.

`find` turns the name into a class. The remaining keys are the fields of that
dataclass; a nested mapping with a name of its own is built first. A memory
gives its width to the memories inside it. Functions, of optimisers and
schedules, are called here as well.
"""

from collections.abc import Callable, Mapping
import dataclasses
import inspect
from typing import Any, get_origin

from memjax.config.find import find_class
from memjax.config.sections import SECTIONS
from memjax.errors import ConfigError, nearest, require
from memjax.evaluation.base import Evaluation
from memjax.models.base import Memory, Model
from memjax.tasks.base import Task
from memjax.types import Spec

MISSING = 'must be given'
SECTION = 'must be a section with a name and fields'
# Fields of a memory inside another one that the outer one sets.
FROM_AROUND = ('width', 'index', 'depth')
FROM_TRAIN = ('remat',)  # fields of a model that the section train sets
NOT_A_LAYER = 'has no field `width`, so it cannot be a layer'
NOT_WHOLE = {  # {package: why a class that lacks the given fields is refused}
  'memjax.models': (
    'is a layer, not a whole model: put it inside stack.Stack as its layer'
  ),
  'memjax.evaluation': 'is not an Evaluation of memjax.evaluation.base',
}


def build_task(spec: Mapping[str, Any]) -> Task:
  """The task that a config's `task` section names."""
  return _build(spec, 'memjax.tasks', 'task', {})


def build_model(
  spec: Mapping[str, Any], input_spec: Spec, output_spec: Spec
) -> Model:
  """The model that a config's `model` section names, between these specs."""
  given = {'input_spec': input_spec, 'output_spec': output_spec}
  return _build(spec, 'memjax.models', 'model', given)


def build_layer(spec: Mapping[str, Any], width: int, field: str) -> Memory:
  """The memory that a Stack of this width would have as a layer."""
  return _build(spec, 'memjax.models', field, {'width': width}, field)


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
  giver: str = '',
) -> Any:
  """cls(**spec, **given), every complaint a ConfigError under `field`.

  Args:
    cls: a dataclass or linen module.
    spec: the fields the user set.
    field: where in the config the spec stands.
    given: fields that are not the user's to set.
    giver: where in the config what sets them stands, '' if nowhere.

  Raises:
    ConfigError: a field is unknown, missing, of the wrong type, or refused by
      the class itself.
  """
  given = given or {}
  known = {
    f.name: f
    for f in dataclasses.fields(cls)
    if f.init and not f.name.startswith('_')
  }
  linens_own = ('parent', 'name') if issubclass(cls, Memory) else ()
  settable = [name for name in known if name not in (*linens_own, *given)]
  for key, value in spec.items():
    if key in FROM_TRAIN and issubclass(cls, Memory):
      raise ConfigError(f'{field}.{key}', value, f'is set by train.{key}')
    if giver and key in FROM_AROUND:
      raise ConfigError(f'{field}.{key}', value, f'is set by {giver}.{key}')
    if key not in settable:
      rule = f'no such field; {nearest(key, settable, _lists(cls, field))}'
      raise ConfigError(f'{field}.{key}', value, rule)
    _check_type(f'{field}.{key}', value, known[key].type)
  for name in settable:
    required = (
      known[name].default is dataclasses.MISSING
      and known[name].default_factory is dataclasses.MISSING
    )
    if required and name not in spec:
      raise ConfigError(f'{field}.{name}', '', MISSING)
  if missing := ', '.join(sorted(getattr(cls, '__abstractmethods__', ()))):
    rule = f'has no method {missing}, which its contract requires'
    raise ConfigError(f'{field}.name', f'{cls.__module__}.{cls.__name__}', rule)
  try:
    return cls(**spec, **given)
  except ConfigError as error:
    place = giver if giver and error.field in FROM_AROUND else field
    raise error.within(place) from None
  except (TypeError, ValueError) as error:  # of a class of the user's own
    rule = f'refused by {cls.__name__}: {" ".join(str(error).split())}'
    raise ConfigError(field, dict(spec), rule) from error


def _lists(cls: type, field: str) -> str:
  """The command that shows the fields of a class, which stands at `field`."""
  if cls in SECTIONS.values():
    return f'memjax --list {field}'
  module = cls.__module__
  if module.startswith('memjax.'):
    module = module.rpartition('.')[2]
  return f'memjax --list {module}.{cls.__name__}'


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
  if wanted in (Memory, Task):
    require(isinstance(value, wanted), field, value, SECTION)
  if wanted not in (bool, int, float, str):
    return
  fits = type(value) is wanted or (wanted is float and type(value) is int)
  require(fits, field, value, f'must be of type {wanted.__name__}')


def _build(
  spec: Mapping[str, Any],
  package: str,
  field: str,
  given: Mapping[str, Any],
  giver: str = '',
) -> Any:
  if 'name' not in spec:
    raise ConfigError(field, dict(spec), 'needs a name, a dotted path')
  cls = find_class(spec['name'], package, f'{field}.name')
  known = {f.name: f for f in dataclasses.fields(cls)}
  if not given.keys() <= known.keys():
    rule = NOT_A_LAYER if giver else NOT_WHOLE[package]
    raise ConfigError(f'{field}.name', spec['name'], rule)
  parts = {key: value for key, value in spec.items() if key != 'name'}
  inner = _given_inside(cls, parts, given, field)
  around = (giver if 'width' in given else field) if inner else ''
  for key, value in parts.items():
    place = f'{field}.{key}'
    if key in known and get_origin(known[key].type) is Mapping:
      rule = 'must be a section of named sections'
      require(isinstance(value, Mapping), place, value, rule)
      parts[key] = {
        name: _build_part(part, package, f'{place}.{name}', inner, around)
        for name, part in value.items()
      }
    elif isinstance(value, Mapping):
      parts[key] = _build_part(value, package, place, inner, around)
  return construct(cls, parts, field, given, giver)


def _build_part(
  part: Any, package: str, field: str, given: Mapping[str, Any], giver: str
) -> Any:
  require(isinstance(part, Mapping), field, part, SECTION)
  return _build(part, package, field, given, giver)


def _given_inside(
  cls: type, parts: Mapping[str, Any], given: Mapping[str, Any], field: str
) -> dict[str, Any]:
  """What a memory gives to the memories inside it: its width."""
  known = {f.name: f for f in dataclasses.fields(cls)}
  inside = any(isinstance(value, Mapping) for value in parts.values())
  if not inside or not issubclass(cls, Memory) or 'width' not in known:
    return {}
  width = {**parts, **given}.get('width', known['width'].default)
  require(width is not dataclasses.MISSING, f'{field}.width', '', MISSING)
  _check_type(f'{field}.width', width, int)
  return {'width': width}
