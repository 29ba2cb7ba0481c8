"""Binary addition: the sum of two numbers, bit by bit from the lowest.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: n bits, the sign 2, m bits; n uniform in 1..L - 2, m = L - 1 - n;
both numbers uniform from 1 to the largest of their size, lowest bit first. The
answer is the sum, lowest bit first, without zeros above its highest one, then a
terminator, 2. If L < 3, a sign does not fit: one number uniform in 0..2^L - 2
stands alone and is the sum; the answer to 0 has one bit. Rows and lengths are
those of `episode.py`.
Labels: the answer with its terminator; at most L + 1.
Metrics: those of `episode.py`; a random class scores 1/3.
Deviations: those of `episode.py`.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey

SIGN = TERMINATOR = 2


class Operands(NamedTuple):
  """Two numbers, lowest bit first and padded with 0, and their sequence."""

  one_S: jax.Array
  other_S: jax.Array
  symbols_S: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryAddition(SequenceTask):
  """Two numbers to add. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 3

  @property
  def answers(self) -> int:
    return 3

  def most(self, length: int) -> int:
    return length + 1

  @property
  def labels(self) -> int:
    return self.longest + (self.longest < 3)

  def example(self, key: RowKey) -> Example:
    of_length, of_numbers = jax.random.split(key)
    length = self.draw_length(of_length)
    one_S, other_S, symbols_S = operands(of_numbers, length, self.longest)
    _, sum_S = jax.lax.scan(
      add_digit, jnp.zeros((), jnp.int32), one_S + other_S
    )
    bits = jnp.maximum(bit_length(sum_S), 1)
    return self.row(symbols_S, length, terminated(sum_S, bits), bits + 1)


def operands(key: RowKey, length: jax.Array, places: int) -> Operands:
  """Numbers of n and L - 1 - n bits; if L < 3, one number and 0."""
  of_size, of_one, of_other, of_alone = jax.random.split(key, 4)
  size = jax.random.randint(of_size, (), 1, jnp.maximum(length - 1, 2))
  one_S = above_zero(of_one, size, places)
  other_S = above_zero(of_other, jnp.maximum(length - 1 - size, 1), places)
  place_S = jnp.arange(places)
  shown_S = other_S.take(place_S - size - 1, mode='clip')
  shown_S = jnp.where(place_S == size, SIGN, shown_S)
  shown_S = jnp.where(place_S < size, one_S, shown_S)
  alone = jax.random.randint(of_alone, (), 0, 2 ** length.clip(1, 2) - 1)
  alone_S = jnp.where(place_S < 2, alone >> place_S.clip(0, 1) & 1, 0)
  both = length > 2
  return Operands(
    jnp.where(both, one_S, alone_S),
    jnp.where(both, other_S, 0),
    jnp.where(both, shown_S, alone_S),
  )


def above_zero(key: RowKey, size: jax.Array, places: int) -> jax.Array:
  """`(S,)` bits of a uniform number above 0; 0 from place `size` on."""

  def again(state: tuple[RowKey, jax.Array]) -> tuple[RowKey, jax.Array]:
    of_next, of_bits = jax.random.split(state[0])
    bits_S = jax.random.randint(of_bits, (places,), 0, 2)
    return of_next, jnp.where(jnp.arange(places) < size, bits_S, 0)

  start = key, jnp.zeros(places, jnp.int32)
  return jax.lax.while_loop(lambda state: ~state[1].any(), again, start)[1]


def add_digit(
  carry: jax.Array, digit: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """One step of a sum: the next carry, and the bit of this place."""
  total = carry + digit
  return total >> 1, total & 1


def bit_length(bits_S: jax.Array) -> jax.Array:
  """Number of places up to the highest 1; 0 for the number 0."""
  return jnp.where(bits_S == 1, jnp.arange(bits_S.size) + 1, 0).max()


def terminated(bits_S: jax.Array, count: jax.Array) -> jax.Array:
  """The first `count` bits, then the terminator."""
  bits_A = jnp.pad(bits_S, (0, 1))
  return jnp.where(jnp.arange(bits_A.size) < count, bits_A, TERMINATOR)
