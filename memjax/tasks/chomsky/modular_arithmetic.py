"""Modular arithmetic: the value of a sum of products, without brackets.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: digits and operators alternate, digits uniform in 0..4, operators
uniform among +, - and *. The answer is the value modulo 5; * binds more tightly
than + and -, 1 - 2 * 3 = 0. The length is odd: an even drawn length is reduced
by one. Symbols: the digits, then +, -, *. Rows and lengths are those of
`episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/5. Always answering 0 scores more on
expressions with a *.
Deviations: those of `episode.py`. The paper's code multiplies before it takes
the remainder, in 32 bits, so that its labels can be wrong after fifteen or more
consecutive *; here they are right.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import ArithmeticTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModularArithmetic(ArithmeticTask):
  """An expression to evaluate. Attributes: those of `ArithmeticTask`."""

  @property
  def alphabet(self) -> int:
    return self.modulus + 3

  def example(self, key: RowKey) -> Example:
    of_length, of_digits, of_signs = jax.random.split(key, 3)
    drawn = self.draw_length(of_length)
    length = drawn - 1 + drawn % 2
    digits_S = self.string(of_digits, self.modulus)
    signs_S = self.string(of_signs, 3)
    place_S = jnp.arange(self.longest)
    is_sign_S = place_S % 2 == 1
    symbols_S = jnp.where(is_sign_S, self.modulus + signs_S, digits_S)
    # Zeros are added after the end.
    signs_S = jnp.where(place_S < length, signs_S, 0)
    digits_S = jnp.where(place_S < length, digits_S, 0)
    value = self._value(digits_S[::2], signs_S[1::2])
    return self.row(symbols_S, length, value[None])

  def _value(self, digits: jax.Array, signs: jax.Array) -> jax.Array:
    """The value of the first digit, then of each sign with its digit."""

    def read(
      state: tuple[jax.Array, jax.Array], step: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
      total, product = state
      sign, digit = step
      times = sign == 2
      total = jnp.where(times, total, (total + product) % self.modulus)
      factor = jnp.where(times, product, jnp.where(sign == 1, -1, 1))
      return (total, factor * digit % self.modulus), None

    count = digits.size - 1
    start = jnp.zeros_like(digits[0]), digits[0]
    (total, product), _ = jax.lax.scan(read, start, (signs[:count], digits[1:]))
    return (total + product) % self.modulus
