"""Solve equation: the value of x in a nested expression of known value.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: an expression of L - 2 symbols as in
`modular_arithmetic_brackets.py`, without *. One of its digits is replaced by x:
the first at or after a uniform place, cyclically. Then = and the value modulo
5. The answer is the digit that x hides, the only one that solves the equation.
Rows of two symbols or fewer are zeros, and their answer is 0.
Symbols: the digits, then +, -, (, ), x, =. Rows and lengths are those of
`episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/5.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import ArithmeticTask
from memjax.tasks.chomsky.modular_arithmetic_brackets import (
  OPEN,
  expression,
  symbols,
  values,
)
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolveEquation(ArithmeticTask):
  """An equation to solve. Attributes: those of `ArithmeticTask`."""

  @property
  def alphabet(self) -> int:
    return self.modulus + 6

  def example(self, key: RowKey) -> Example:
    of_length, of_parts, of_place = jax.random.split(key, 3)
    length = self.draw_length(of_length)
    size = jnp.maximum(length - 2, 1)
    parts = expression(of_parts, size, self.longest, self.modulus, signs=2)
    value = values(parts, self.modulus)[0]
    place_S = jnp.arange(self.longest)
    first = jax.random.randint(of_place, (), 0, size)
    steps_S = jnp.where(parts.size == 1, (place_S - first) % size, size)
    hidden = jnp.argmin(steps_S)
    symbols_S = self._without_times(symbols(parts, self.modulus))
    x, equals = self.modulus + 4, self.modulus + 5
    symbols_S = jnp.where(place_S == hidden, x, symbols_S)
    symbols_S = jnp.where(place_S == size, equals, symbols_S)
    symbols_S = jnp.where(place_S == size + 1, value, symbols_S)
    solvable = length > 2
    symbols_S = jnp.where(solvable, symbols_S, 0)
    answer = jnp.where(solvable, parts.digit[hidden], 0)
    return self.row(symbols_S, length, answer[None])

  def _without_times(self, symbols_S: jax.Array) -> jax.Array:
    """The symbols above - shifted down by one."""
    return jnp.where(symbols_S < self.modulus + OPEN, symbols_S, symbols_S - 1)
