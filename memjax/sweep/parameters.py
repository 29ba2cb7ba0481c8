"""The parameters of a sweep file: values to choose from, or a range.

Of wandb's distributions these are done here: constant, categorical, uniform,
int_uniform, q_uniform, log_uniform and log_uniform_values.
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
  """A parameter between two numbers, both reached; whole ones, if both are.

  Attributes:
    low: the least value.
    high: the greatest.
    log: whether its logarithm is what is uniform.
    step: what values are apart, from `low` to `high`; 0: nothing.
  """

  low: float
  high: float
  log: bool = False
  step: float = 0


def parameter(name: str, said: Any) -> Values | Range:
  """What a file says of one flag.

  Raises:
    ConfigError: it is not done here; the message names field and value.
  """
  field = f'parameters.{name}'
  require(name != 'workdir', field, said, 'every trial has one of its own')
  nested = isinstance(said, dict) and 'parameters' in said
  rule = 'would replace a whole section: write its fields with dots, a.b'
  require(not nested, field, said, rule)
  known(said, ('value', 'values', 'distribution', 'min', 'max', 'q'), field)
  rule = 'must have one of value, values, and min and max'
  require(len({'value', 'values', 'min'} & set(said)) == 1, field, said, rule)
  if 'min' not in said:
    of = said.get('distribution', 'categorical')
    rule = 'must be min and max, not values, with this distribution'
    require(
      of in ('constant', 'categorical'), f'{field}.distribution', of, rule
    )
    given = [said['value']] if 'value' in said else said['values']
    return _values(f'{field}.value' + 's' * ('values' in said), given)
  return _range(field, said)


def _values(field: str, values: Any) -> Values:
  rule = 'must be a list of values, none of them twice'
  require(isinstance(values, list) and bool(values), field, values, rule)
  for value in values:
    scalar = isinstance(value, str | int | float)
    require(scalar, field, value, 'must be a number, a text, or true or false')
  require(len(set(values)) == len(values), field, values, rule)
  return Values(tuple(values))


def _range(field: str, said: Mapping[str, Any]) -> Range:
  require('max' in said, field, dict(said), 'must have max beside min')
  low, high = (_number(f'{field}.{key}', said[key]) for key in ('min', 'max'))
  rule = f'must be above min {low}'
  require(low < high, f'{field}.max', high, rule)
  whole = isinstance(low, int) and isinstance(high, int)
  kind = said.get('distribution', 'int_uniform' if whole else 'uniform')
  rule = f'is not done here; {nearest(str(kind), RANGES)}'
  require(kind in RANGES, f'{field}.distribution', kind, rule)
  rule = 'is for q_uniform alone'
  require('q' not in said or kind == 'q_uniform', f'{field}.q', said, rule)
  if kind == 'int_uniform':
    require(whole, field, dict(said), 'min and max must be whole numbers')
    return Range(low, high)
  if kind == 'q_uniform':
    return _multiples(field, low, high, said.get('q', 1))
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
  rule = f'must have two multiples between {low} and {high}'
  require(first < last, f'{field}.q', q, rule)
  return Range(first * q, last * q, step=q)


def _number(field: str, value: Any) -> float:
  number = isinstance(value, int | float) and not isinstance(value, bool)
  rule = 'must be a number; to YAML 1e-4 is a text and 1.0e-4 a number'
  require(number and math.isfinite(value), field, value, rule)
  return value


def known(said: Any, keys: Sequence[str], within: str) -> None:
  """Requires fields, none of them other than these.

  Raises:
    ConfigError: there is another.
  """
  rule = f'must have fields: {", ".join(keys)}'
  require(isinstance(said, dict), within or 'sweep', said, rule)
  for key, value in said.items():
    field = f'{within}.{key}' if within else str(key)
    rule = f'is not done here; {nearest(str(key), keys)}'
    require(key in keys, field, value, rule)
