"""`--config.a.b=value`: any documented field, with the type of its class.

A field that the config mentions has the type of its value. Any other field is
looked up in the class that its section names: the dataclass of a task, of a
layer or of a section, or the function of an optimiser.
"""

from collections.abc import Mapping, Sequence
import copy
import math
from typing import Any, NamedTuple

from ml_collections import FieldReference

from memjax.config import catalogue, merge
from memjax.config.catalogue import Field
from memjax.config.find import LISTS, find_class, find_function
from memjax.config.sections import SECTIONS
from memjax.errors import ConfigError, nearest

PREFIXES = ('--config.', '--noconfig.')
PACKAGES = {'task': 'memjax.tasks', 'model': 'memjax.models'}
# Fields that decide which other fields there are.
FIRST = ('name', 'schedule')
TRUE, FALSE = ('true', 't', '1'), ('false', 'f', '0')


class Override(NamedTuple):
  """One `--config.a.b=value`.

  Attributes:
    path: ['a', 'b'].
    text: the value as it was typed.
  """

  path: list[str]
  text: str

  @property
  def field(self) -> str:
    return '.'.join(self.path)


def read_override(arg: str) -> Override:
  """The parts of `--config.a.b=value`, `--config.a.b` or `--noconfig.a.b`."""
  name, equals, text = arg.partition('=')
  path = name.partition('.')[2].split('.')
  if not equals:
    text = 'false' if name.startswith('--no') else 'true'
  return Override(path, text)


def override(config: Mapping[str, Any], args: Sequence[str]) -> dict[str, Any]:
  """The config with every `--config.a.b=value` among the arguments set.

  Names of classes are set first, so the order of the arguments does not
  matter. The last of several values of one field counts. A field that refers to
  another one, and is not set itself, follows that one's value.

  Raises:
    ConfigError: there is no such field, it is a whole section, or the value is
      of another type.
  """
  changed = copy.deepcopy(dict(config))
  given = [read_override(arg) for arg in args if arg.startswith(PREFIXES)]
  for one in sorted(given, key=lambda one: one.path[-1] not in FIRST):
    value = _value(merge.merge_sets(_resolved(changed)), one)
    section = changed
    for key in one.path[:-1]:
      section = section.setdefault(key, {})
    before = section.get(one.path[-1])
    if isinstance(before, FieldReference):
      before.set(value)
    else:
      section[one.path[-1]] = value
  return _resolved(changed)


def parse_value(field: str, text: str, kind: type | None) -> Any:
  """The text as a bool, int, float or str; as what it looks like if None.

  Raises:
    ConfigError: the text is of another type; the rule says what would work.
  """
  if kind is bool:
    if text.lower() not in (*TRUE, *FALSE):
      raise ConfigError(field, text, 'must be true or false')
    return text.lower() in TRUE
  number = _number(text)
  if kind is int:
    if isinstance(number, int):
      return number
    whole = number is not None and math.isfinite(number) and number % 1 == 0
    hint = f': {int(number)}' if whole and number else ''
    raise ConfigError(field, text, f'must be a whole number{hint}')
  if kind is float:
    if number is None:
      raise ConfigError(field, text, 'must be a number, such as 0.1 or 1e-3')
    return float(number)
  if kind is None:
    if text.lower() in ('true', 'false'):
      return text.lower() == 'true'
    return text if number is None else number
  return text


def _value(config: Mapping[str, Any], one: Override) -> Any:
  """The value of an override, of the type of its field."""
  here: Any = config
  for i, key in enumerate(one.path):
    if not isinstance(here, Mapping):
      section = '.'.join(one.path[:i])
      raise ConfigError(one.field, one.text, f'{section} is not a section')
    if key in here:
      here = here[key]
      continue
    kind = _documented(config, one, i)
    if kind is Mapping:
      here = {}
    elif i == len(one.path) - 1:
      return parse_value(one.field, one.text, kind)
    else:
      here = None
  if isinstance(here, Mapping):
    inside = next(iter(here), 'NAME')
    rule = 'replaces a whole section: set its fields one by one, '
    rule += f'--config.{one.field}.{inside}=...'
    raise ConfigError(one.field, one.text, rule)
  try:
    return parse_value(one.field, one.text, type(here))
  except ConfigError:
    if type(here) is int and len(one.path) > 1:  # 2 may stand for 2.0
      kind = _documented(config, one, len(one.path) - 1)
      if kind is float:
        return parse_value(one.field, one.text, kind)
    raise


def _documented(config: Mapping[str, Any], one: Override, i: int) -> Any:
  """The type of the i-th key of a path, which the config does not mention."""
  section, key = one.path[:i], one.path[i]
  here = _lookup(config, section)
  if _is_open(section, here):
    return str if key == 'name' else Mapping
  known = {field.name: field.type for field in _fields(config, section)}
  if key not in known:
    field = '.'.join(one.path[: i + 1])
    lists = f'{LISTS} {here.get("name", section[-1])}' if section else ''
    rule = f'no such field; {nearest(key, {*known, *here}, lists)}'
    raise ConfigError(field, one.text, rule)
  return known[key]


def _is_open(section: list[str], here: Mapping[str, Any]) -> bool:
  """Whether the section takes names of the user's choice."""
  of_class = any(part in section for part in PACKAGES)
  return section == ['optim', 'groups'] or (of_class and 'name' not in here)


def _fields(config: Mapping[str, Any], section: list[str]) -> list[Field]:
  """The documented fields of a section."""
  match section:
    case []:
      named = (*SECTIONS, *PACKAGES, 'evals')
      sections = [Field(name, Mapping, {}, '') for name in named]
      return [Field('seed', int, 0, ''), *sections]
    case ['optim', 'options' | 'schedule_options' as part]:
      chosen = 'name' if part == 'options' else 'schedule'
      functions = catalogue.functions_of(f'optim.{part}')
      name = config['optim'][chosen]
      function = find_function(name, functions, f'optim.{chosen}')
      return catalogue.options(f'optim.{part}', function)
    case ['optim', 'groups', _]:
      return catalogue.group_fields()
    case [name] if name in SECTIONS:
      return catalogue.section_fields(name)
    case ['evals', _]:
      read, package = catalogue.evaluation_fields, 'memjax.evaluation'
    case ['evals', _, part, *_] | [part, *_] if part in PACKAGES:
      read, package = catalogue.fields, PACKAGES[part]
    case _:
      return []
  name, field = _lookup(config, section)['name'], '.'.join([*section, 'name'])
  cls = find_class(name, package, field)
  return [Field('name', str, '', ''), *read(cls)]


def _lookup(
  config: Mapping[str, Any], path: Sequence[str]
) -> Mapping[str, Any]:
  """The section at a path; {} if the config has none there."""
  section = config
  for key in path:
    section = section.get(key, {})
  return section


def _resolved(config: Mapping[str, Any]) -> dict[str, Any]:
  """A copy in which each reference is the value that it has now."""
  copied = {}
  for key, value in config.items():
    if isinstance(value, FieldReference):
      value = value.get()
    copied[key] = _resolved(value) if isinstance(value, Mapping) else value
  return copied


def _number(text: str) -> int | float | None:
  for kind in (int, float):
    try:
      return kind(text)
    except ValueError:
      continue
  return None
