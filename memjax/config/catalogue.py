"""What a config can name, and the fields of each, read from the classes.

fields(LSTM)               [Field('width', int, REQUIRED, 'D.'), ...]
section_fields('train')    with the defaults of configs/base.py
options('optim.options', 'adamw')
classes_of('Models')       {'lstm.LSTM': LSTM, ...}
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import dataclasses
import inspect
import re
import types
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from memjax.config import merge
from memjax.config.find import classes, load
from memjax.config.sections import SECTIONS
from memjax.configs.base import base

REQUIRED = dataclasses.MISSING
PLAIN = (bool, int, float, str)
# `name: text` or `name, name: text`, as in an `Attributes:` block.
ENTRY = re.compile(r'( +)\*{0,2}(\w+(?:, \w+)*)(?: \([^)]*\))?:(?: +(.*))?$')


class Field(NamedTuple):
  """One field that a config may set.

  Attributes:
    name: as the config writes it.
    type: bool, int, float or str; Mapping for a section; None if the class does
      not say.
    default: its value if it is not set; REQUIRED if it must be set.
    meaning: what the docstring says.
  """

  name: str
  type: Any
  default: Any
  meaning: str

  @property
  def type_name(self) -> str:
    """The type in a word, 'section' for nested fields, '' if unknown."""
    if self.type in PLAIN:
      return self.type.__name__
    return 'section' if self.type is Mapping else ''


class Kind(NamedTuple):
  """Classes that a config names, or that a report finds.

  Attributes:
    package: where they lie.
    contract: the dotted path of their base class.
    used: how a config names them.
  """

  package: str
  contract: str
  used: str


KINDS = {
  'Models': Kind(
    'memjax.models',
    'memjax.models.base.Memory',
    'model.layer.name inside a stack.Stack, or model.name',
  ),
  'Tasks': Kind('memjax.tasks', 'memjax.tasks.base.Task', 'task.name'),
  'Evaluations': Kind(
    'memjax.evaluation', 'memjax.evaluation.base.Evaluation', 'evals.SET.name'
  ),
  'Instruments': Kind(
    'memjax.analysis', 'memjax.analysis.base.Instrument', 'in every report'
  ),
}
# {section of options: (functions by name, arguments that others set)}
OPTIONS = {
  'optim.options': (
    'memjax.training.optimisers.optim.known_optimisers',
    ('learning_rate', 'weight_decay', 'mask'),
  ),
  'optim.schedule_options': (
    'memjax.training.optimisers.schedules.known_schedules',
    (
      *('learning_rate', 'peak_value', 'init_value', 'value'),
      *('steps', 'warmup_steps', 'final_lr_ratio'),
    ),
  ),
}
GROUP = 'memjax.training.optimisers.parameter_groups.ParameterGroup'
# Fields that the rest of the config sets.
FROM_CONFIG = ('input_spec', 'output_spec', 'set_name', 'fields', 'changes')


def classes_of(kind: str) -> dict[str, type]:
  """{'lstm.LSTM': its class}: every whole class of one of `KINDS`."""
  package, contract, _ = KINDS[kind]
  base_class = load(contract)
  return {
    name: value
    for name, value in classes(package)
    if issubclass(value, base_class) and not inspect.isabstract(value)
  }


def functions_of(section: str) -> dict[str, Callable[..., Any]]:
  """{'adamw': the function}: what a section of `OPTIONS` gives options to."""
  return load(OPTIONS[section][0])()


def fields(cls: type) -> list[Field]:
  """The fields of a class that a config can set, in its order.

  Args:
    cls: a dataclass; a linen module is one.
  """
  of_a_model = ('parent', 'name', 'remat') if hasattr(cls, 'apply') else ()
  meanings: dict[str, str] = {}
  for base_class in reversed(cls.__mro__):
    meanings |= described(base_class.__doc__)
  return [
    Field(
      field.name,
      _plain(_resolved(cls, field.type, field.name)),
      _default(field),
      meanings.get(field.name, ''),
    )
    for field in dataclasses.fields(cls)
    if field.init
    and not field.name.startswith('_')
    and field.name not in (*of_a_model, *FROM_CONFIG)
  ]


def section_fields(section: str) -> list[Field]:
  """The fields of a section such as 'train', with the configs' defaults."""
  defaults = base().to_dict()[section]
  return [
    field._replace(default=defaults.get(field.name, REQUIRED))
    for field in fields(SECTIONS[section])
  ]


def evaluation_fields(cls: type) -> list[Field]:
  """The fields of an evaluation set; its task and model are the run's."""
  defaults = {**merge.DEFAULTS, **{part: {} for part in merge.PARTS}}
  return [
    field._replace(default=defaults.get(field.name, field.default))
    for field in fields(cls)
  ]


def options(section: str, function: Callable[..., Any]) -> list[Field]:
  """The options that a section of `OPTIONS` may give to a function."""
  return function_fields(function, OPTIONS[section][1])


def function_fields(
  function: Callable[..., Any], given: Collection[str]
) -> list[Field]:
  """The parameters of a function, without those that others give."""
  meanings = described(function.__doc__)
  return [
    Field(
      parameter.name,
      _plain(parameter.annotation, parameter.default),
      REQUIRED if parameter.default is parameter.empty else parameter.default,
      meanings.get(parameter.name, ''),
    )
    for parameter in inspect.signature(function).parameters.values()
    if parameter.name not in given
    and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
  ]


def group_fields() -> list[Field]:
  """The fields of one of `optim.groups`."""
  return fields(load(GROUP))


def described(docstring: str | None) -> dict[str, str]:
  """{name: its text} of the `Attributes:` or `Args:` of a docstring."""
  lines = inspect.cleandoc(docstring or '').splitlines()
  found: dict[str, str] = {}
  margin = 0
  names: list[str] = []
  for line in _block(lines):
    entry = ENTRY.match(line)
    if entry and (not margin or len(entry[1]) == margin):
      names, margin = entry[2].split(', '), len(entry[1])
      found |= dict.fromkeys(names, entry[3] or '')
    else:
      for name in names:
        found[name] = f'{found[name]} {line.strip()}'.strip()
  return found


def summary(value: Any) -> str:
  """The first paragraph of a docstring."""
  text = inspect.cleandoc(value.__doc__ or '')
  return ' '.join(text.partition('\n\n')[0].split())


def _block(lines: list[str]) -> Iterator[str]:
  """The indented lines below `Attributes:` or `Args:`."""
  inside = False
  for line in lines:
    if line and not line.startswith(' '):
      inside = line in ('Attributes:', 'Args:')
    elif inside:
      yield line


def _default(field: dataclasses.Field) -> Any:
  if field.default_factory is not dataclasses.MISSING:
    return field.default_factory()
  default: Any = field.default
  return dict(default) if isinstance(default, Mapping) else default


def _resolved(cls: type, annotation: Any, name: str) -> Any:
  """The annotation as a type, where the class's file postpones it."""
  return (
    get_type_hints(cls)[name] if isinstance(annotation, str) else annotation
  )


def _plain(annotation: Any, default: Any = None) -> Any:
  """bool, int, float, str or Mapping; None if the annotation is none of them.

  The type of a default decides where an annotation allows several types.
  """
  if annotation in PLAIN:
    return annotation
  origin = get_origin(annotation) or annotation
  if type(default) in PLAIN:
    return type(default)
  if origin in (Union, types.UnionType):
    among = get_args(annotation)
    return next((kind for kind in (float, int, str) if kind in among), None)
  if isinstance(origin, type) and (
    issubclass(origin, Mapping) or dataclasses.is_dataclass(origin)
  ):
    return Mapping
  return None
