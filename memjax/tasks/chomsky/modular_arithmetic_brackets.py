"""Modular arithmetic with brackets: the value of a nested expression.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: an expression of one symbol is a digit d of 0..4, of two -d, of
three (d), of four (-d); of n > 4 symbols it is (a+b), (a-b) or (a*b), the size
of a is uniform in 1..n - 4, that of b is the rest of n - 3; digits and
operators are uniform. The answer is the value modulo 5. Symbols: the digits,
then +, -, *, (, ). Rows and lengths are those of `episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/5. Always answering 0 scores more on
expressions with a *.
Deviations: those of `episode.py`.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import ArithmeticTask
from memjax.types import Example, RowKey

PLUS, MINUS, TIMES, OPEN, CLOSE = range(5)  # after the digits


class Parts(NamedTuple):
  """The subexpression that begins at each place, `(S,)` each.

  Attributes:
    size: its number of symbols, 0 if none begins here.
    left: the size of its first operand, if it has two.
    sign: the sign or bracket at this place.
    digit: the digit at this place, if it holds no sign or bracket.
  """

  size: jax.Array
  left: jax.Array
  sign: jax.Array
  digit: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModularArithmeticBrackets(ArithmeticTask):
  """A nested expression to evaluate. Attributes: those of `ArithmeticTask`."""

  @property
  def alphabet(self) -> int:
    return self.modulus + 5

  def example(self, key: RowKey) -> Example:
    of_length, of_parts = jax.random.split(key)
    length = self.draw_length(of_length)
    parts = expression(of_parts, length, self.longest, self.modulus, signs=3)
    values_S = values(parts, self.modulus)
    return self.row(symbols(parts, self.modulus), length, values_S)


def symbols(parts: Parts, modulus: int) -> jax.Array:
  """`(S,)`: digits, and the other symbols from `modulus` on."""
  # An expression of two or more symbols begins with a minus or a bracket.
  first_S = jnp.where(parts.size == 2, MINUS, OPEN)
  other_S = modulus + jnp.where(parts.size > 0, first_S, parts.sign)
  return jnp.where(parts.size == 1, parts.digit, other_S)


def expression(
  key: RowKey, length: jax.Array, places: int, modulus: int, signs: int
) -> Parts:
  """A random expression of `length` symbols, padded to `places`.

  The first `signs` of +, -, * are used. The scan goes from left to right: when
  it reaches a place, the enclosing expression has already written its part.
  """
  of_digits, of_signs, of_sizes = jax.random.split(key, 3)
  digit_S = jax.random.randint(of_digits, (places,), 0, modulus)
  choice_S = jax.random.randint(of_signs, (places,), 0, signs)
  # The remainder of 32 bits is uniform up to 1 in 2^23 for sizes up to 500.
  bits_S = jax.random.bits(of_sizes, (places,))

  def unfold(
    state: tuple[jax.Array, jax.Array], step: tuple[jax.Array, ...]
  ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    size_S, sign_S = state
    place, choice, bits = step
    size = size_S[place]
    splits = jnp.maximum(size - 4, 1).astype(jnp.uint32)
    left = 1 + (bits % splits).astype(jnp.int32)
    whole = jnp.where(size == 2, 1, size - 2)  # of the one operand
    after = place + 1 + left
    inner = jnp.where(size > 4, left, whole)
    nowhere = places
    size_S = size_S.at[jnp.where(size > 1, place + 1, nowhere)].set(
      inner, mode='drop'
    )
    size_S = size_S.at[jnp.where(size > 4, after + 1, nowhere)].set(
      size - 3 - left, mode='drop'
    )
    sign_S = sign_S.at[jnp.where(size > 4, after, nowhere)].set(
      choice, mode='drop'
    )
    sign_S = sign_S.at[jnp.where(size > 2, place + size - 1, nowhere)].set(
      CLOSE, mode='drop'
    )
    return (size_S, sign_S), left

  place_S = jnp.arange(places)
  start = jnp.where(place_S == 0, length, 0), jnp.zeros(places, jnp.int32)
  (size_S, sign_S), left_S = jax.lax.scan(
    unfold, start, (place_S, choice_S, bits_S)
  )
  return Parts(size_S, left_S, sign_S, digit_S)


def values(parts: Parts, modulus: int) -> jax.Array:
  """`(S,)`: the value of the expression that begins at each place.

  From right to left, so that the operands' values are known when needed.
  """
  places = parts.size.size

  def fold(
    value_S: jax.Array, step: tuple[jax.Array, Parts]
  ) -> tuple[jax.Array, None]:
    place, part = step
    after = place + 1 + part.left
    one = value_S.take(place + 1, mode='clip')
    other = value_S.take(after + 1, mode='clip')
    sign = parts.sign.take(after, mode='clip')
    added = jnp.where(sign == PLUS, one + other, one - other)
    both = jnp.where(sign == TIMES, one * other, added)
    single = jnp.where(part.size == 2, -one, one)
    value = jnp.where(part.size > 4, both, single)
    value = jnp.where(part.size == 1, part.digit, value)
    return value_S.at[place].set(value % modulus), None

  start = jnp.zeros(places, jnp.int32)
  value_S, _ = jax.lax.scan(
    fold, start, (jnp.arange(places), parts), reverse=True
  )
  return value_S
