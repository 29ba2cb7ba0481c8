"""The parameters of a sweep file: listed values, or a range.

Supported distributions of wandb: constant, categorical, uniform, int_uniform,
q_uniform, log_uniform and log_uniform_values.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple, TypeAlias

from memjax.errors import nearest, require

Scalar: TypeAlias = str | int | float | bool

RANGES = (
  *('uniform', 'q_uniform', 'int_uniform'),
  *('log_uniform', 'log_uniform_values'),
)


class Values(NamedTuple):
  """A parameter that takes one of some values."""

  values: tuple[Scalar, ...]


class Range(NamedTuple):
  """A parameter between two numbers, both included; integers if both are.

  Attributes:
    low: the smallest value.
    high: the largest value.
    log: whether the logarithm of the value is uniform.
    step: distance between neighbouring values; 0: any value.
  """

  low: float
  high: float
  log: bool = False
  step: float = 0


def read_parameter(name: str, entry: Any) -> Values | Range:
  """The values of one flag, from its entry in the file.

  Raises:
    ConfigError: the entry is wrong or not supported; the message names field
      and value.
  """
  field = f'parameters.{name}'
  rule = 'cannot be set: every trial has its own workdir'
  require(name != 'workdir', field, entry, rule)
  nested = isinstance(entry, dict) and 'parameters' in entry
  rule = 'would replace a whole section: write its fields with dots, a.b'
  require(not nested, field, entry, rule)
  fields = ('value', 'values', 'distribution', 'min', 'max', 'q')
  require_fields(entry, fields, field)
  rule = 'must have exactly one of: value; values; min and max'
  require(len({'value', 'values', 'min'} & set(entry)) == 1, field, entry, rule)
  if 'min' in entry:
    return _range(field, entry)
  kind = entry.get('distribution', 'categorical')
  rule = 'needs min and max instead of values'
  listed = kind in ('constant', 'categorical')
  require(listed, f'{field}.distribution', kind, rule)
  if 'value' in entry:
    return _values(f'{field}.value', [entry['value']])
  return _values(f'{field}.values', entry['values'])


def _values(field: str, values: Any) -> Values:
  rule = 'must be a list of values without duplicates'
  require(isinstance(values, list) and bool(values), field, values, rule)
  for value in values:
    scalar = isinstance(value, str | int | float)
    require(scalar, field, value, 'must be a number, a string, true or false')
  require(len(set(values)) == len(values), field, values, rule)
  return Values(tuple(values))


def _range(field: str, entry: Mapping[str, Any]) -> Range:
  require('max' in entry, field, dict(entry), 'must have both min and max')
  low, high = (_number(f'{field}.{key}', entry[key]) for key in ('min', 'max'))
  rule = f'must be above min {low}'
  require(low < high, f'{field}.max', high, rule)
  whole = isinstance(low, int) and isinstance(high, int)
  kind = entry.get('distribution', 'int_uniform' if whole else 'uniform')
  rule = f'is not supported; use {", ".join(RANGES)}'
  require(kind in RANGES, f'{field}.distribution', kind, rule)
  rule = 'belongs to q_uniform only'
  require('q' not in entry or kind == 'q_uniform', f'{field}.q', entry, rule)
  if kind == 'int_uniform':
    require(whole, field, dict(entry), 'min and max must be whole numbers')
    return Range(low, high)
  if kind == 'q_uniform':
    return _multiples(field, low, high, entry.get('q', 1))
  if kind == 'log_uniform':  # wandb gives the exponents of e
    return Range(math.exp(low), math.exp(high), log=True)
  log = kind == 'log_uniform_values'
  require(low > 0 or not log, f'{field}.min', low, 'must be above 0')
  return Range(float(low), float(high), log=log)


def _multiples(field: str, low: float, high: float, q: Any) -> Range:
  """The multiples of q in a range."""
  q = _number(f'{field}.q', q)
  require(q > 0, f'{field}.q', q, 'must be above 0')
  first, last = math.ceil(low / q - 1e-9), math.floor(high / q + 1e-9)
  rule = f'must have at least two multiples between {low} and {high}'
  require(first < last, f'{field}.q', q, rule)
  return Range(first * q, last * q, step=q)


def _number(field: str, value: Any) -> float:
  number = isinstance(value, int | float) and not isinstance(value, bool)
  rule = 'must be a number; YAML reads 1e-4 as a string, 1.0e-4 as a number'
  require(number and math.isfinite(value), field, value, rule)
  return value


def require_fields(entry: Any, keys: Sequence[str], within: str) -> None:
  """Requires a mapping whose fields are all among `keys`.

  Raises:
    ConfigError: it has another field.
  """
  rule = f'must have fields: {", ".join(keys)}'
  require(isinstance(entry, dict), within or 'sweep', entry, rule)
  for key, value in entry.items():
    field = f'{within}.{key}' if within else str(key)
    rule = f'is not supported; {nearest(str(key), keys)}'
    require(key in keys, field, value, rule)
