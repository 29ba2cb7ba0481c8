"""Modular arithmetic: the value of a sum of products, without brackets.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: digits and operators in turn, digits uniform in 0..4, operators
uniform among +, - and *; the answer is the value modulo 5, * before + and -,
1 - 2 * 3 = 0. The length is odd: one less than drawn where an even one is
drawn. Symbols: the digits, then +, -, *. Rows and lengths are those of
`base.py`.
Labels: one, at the marker.
Metrics: those of `base.py`; chance is 1/5. Saying 0 always does better where
there is a *.
Deviations: those of `base.py`. The paper's code multiplies before it takes the
remainder, in 32 bits, so that its labels can be wrong where fifteen or more *
follow one another; here they are right.
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
    drawn = self.drawn(of_length)
    length = drawn - 1 + drawn % 2
    digits_S = self.string(of_digits, self.modulus)
    signs_S = self.string(of_signs, 3)
    place_S = jnp.arange(self.longest)
    is_sign_S = place_S % 2 == 1
    symbols_S = jnp.where(is_sign_S, self.modulus + signs_S, digits_S)
    # Beyond the end come zeros to add.
    signs_S = jnp.where(place_S < length, signs_S, 0)
    digits_S = jnp.where(place_S < length, digits_S, 0)
    value = self._value(digits_S[::2], signs_S[1::2])
    return self.row(symbols_S, length, value[None])

  def _value(self, digits: jax.Array, signs: jax.Array) -> jax.Array:
    """Of the first digit, then each sign with the digit that follows it."""

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
