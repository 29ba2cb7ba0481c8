"""Square root: the floor of a number's root, bit by bit from the highest.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: a number uniform in 1..2^L - 1 as L bits, highest first; the
answer is the floor of its square root as ceil(L / 2) bits, highest first. Rows
and lengths are those of `episode.py`.
Labels: ceil(L / 2), from the marker on.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.binary_addition import above_zero
from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey

LIMB = 15  # bits: a number is an array of limbs, the lowest first


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquareRoot(SequenceTask):
  """A number to take the root of. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 2

  @property
  def answers(self) -> int:
    return 2

  def most(self, length: int) -> int:
    return -(-length // 2)

  def example(self, key: RowKey) -> Example:
    of_length, of_bits = jax.random.split(key)
    length = self.draw_length(of_length)
    bits_S = above_zero(of_bits, length, self.longest)
    # An odd number of bits is padded with a leading 0 to form pairs.
    place_S = jnp.arange(2 * self.most(self.longest)) - length % 2
    paired_S = jnp.where(place_S < 0, 0, bits_S.take(place_S, mode='clip'))
    root_A = root(2 * paired_S[::2] + paired_S[1::2])
    return self.row(bits_S, length, root_A, (length + 1) // 2)


def root(pairs_P: jax.Array) -> jax.Array:
  """`(P,)`: the bits of the root of a number of P pairs of bits, highest first.

  Long-hand square root: with the root r so far and the remainder d, the next
  pair p gives 4d + p; the next bit is 1 if 4r + 1 can be subtracted from it.
  Each bit depends only on the pairs up to its own.
  """
  limbs = (pairs_P.size + 3) // LIMB + 1  # d <= 2r, and room for the next pair

  def digit(
    state: tuple[jax.Array, jax.Array], pair: jax.Array
  ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    left_R, root_R = state
    left_R = shifted(left_R, 2, pair)
    less_R, below_zero = minus(left_R, shifted(root_R, 2, jnp.ones_like(pair)))
    bit = jnp.where(below_zero, 0, 1)
    left_R = jnp.where(below_zero, left_R, less_R)
    return (left_R, shifted(root_R, 1, bit)), bit

  start = jnp.zeros(limbs, jnp.int32), jnp.zeros(limbs, jnp.int32)
  return jax.lax.scan(digit, start, pairs_P)[1]


def shifted(x_R: jax.Array, by: int, low: jax.Array) -> jax.Array:
  """x shifted up by `by` bits; the new lowest bits hold `low`."""
  carried_R = jnp.concatenate([low[None], x_R[:-1] >> (LIMB - by)])
  return (x_R << by) % 2**LIMB + carried_R


def minus(a_R: jax.Array, b_R: jax.Array) -> tuple[jax.Array, jax.Array]:
  """a - b, and whether it is below 0.

  A limb borrows if b is larger than a in the highest limb, up to this one, in
  which they differ.
  """
  more_R = (b_R > a_R).astype(jnp.int32)
  differ_R = jnp.where(a_R != b_R, 2 * jnp.arange(a_R.size) + more_R, 0)
  borrows_R = jax.lax.cummax(differ_R) % 2
  borrowed_R = jnp.concatenate([jnp.zeros(1, jnp.int32), borrows_R[:-1]])
  return (a_R - b_R - borrowed_R) % 2**LIMB, borrows_R[-1] == 1
