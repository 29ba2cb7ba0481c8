"""Binary multiplication: the product of two numbers, from the lowest bit.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: n bits, the sign 2, m bits, drawn as in `binary_addition.py`,
lowest bit first. The answer is the product, lowest bit first, without zeros
above its highest one, then a terminator, 2. If L < 3, one number stands alone.
The answer is the terminator if L is 1, a 0 and the terminator if L is 2.
Rows and lengths are those of `episode.py`.
Labels: the answer with its terminator; at most L.
Metrics: those of `episode.py`; a random class scores 1/3.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.binary_addition import (
  add_digit,
  bit_length,
  operands,
  terminated,
)
from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryMultiplication(SequenceTask):
  """Two numbers to multiply. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 3

  @property
  def answers(self) -> int:
    return 3

  def most(self, length: int) -> int:
    return length

  def example(self, key: RowKey) -> Example:
    of_length, of_numbers = jax.random.split(key)
    length = self.draw_length(of_length)
    one_S, other_S, symbols_S = operands(of_numbers, length, self.longest)
    product_S = product(one_S, other_S)
    bits = jnp.where(length > 2, bit_length(product_S), length - 1)
    answer_A = terminated(product_S, bits)
    return self.row(symbols_S, length, answer_A, bits + 1)


def product(one_S: jax.Array, other_S: jax.Array) -> jax.Array:
  """`(S,)`: the lowest bits of the product of two numbers.

  Long multiplication: a shifted copy of the other number for each bit of the
  first; then the columns are summed with carries. A column holds at most S
  ones.
  """
  places = one_S.size
  padded = jnp.pad(other_S, (places, 0))

  def add_row(place: jax.Array, columns_S: jax.Array) -> jax.Array:
    shifted_S = jax.lax.dynamic_slice(padded, (places - place,), (places,))
    return columns_S + one_S[place] * shifted_S

  columns_S = jax.lax.fori_loop(0, places, add_row, jnp.zeros_like(one_S))
  return jax.lax.scan(add_digit, jnp.zeros_like(columns_S[0]), columns_S)[1]
