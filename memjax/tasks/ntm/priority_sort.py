"""Priority sort: vectors with priorities; output the highest ones in order.

Paper: Graves et al. 2014, Neural Turing Machines, section 4.5,
https://arxiv.org/abs/1410.5401.
Specification: 20 vectors of 8 fair bits, each with a priority, uniform in
[-1, 1), on a separate channel; then 16 blank steps, in which the 16 vectors of
highest priority are output, the highest first.
Labels: the 16 blank steps.
Metrics: `loss`, nats per bit; `bits_wrong`, wrong bits per sequence;
`bits_per_sequence`, cross-entropy in bits; `exact_match`, the share of
sequences without a wrong bit. Chance is 64 of 128 bits wrong.
Deviations: the paper does not give the width of the vectors.
"""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.base import ordered, positive
from memjax.tasks.ntm.bits import (
  BitTask,
  during,
  random_bits,
)
from memjax.types import Example, Features, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrioritySort(BitTask):
  """Bit vectors to output in the order of their priorities.

  Attributes:
    bits: bits of a vector.
    vectors: number of vectors read.
    outputs: number of vectors to output.
  """

  bits: int = 8
  vectors: int = 20
  outputs: int = 16

  def __post_init__(self) -> None:
    positive(self, 'bits')
    ordered(self, 'outputs', 'vectors')

  @property
  def input_spec(self) -> Features:
    return Features(self.bits + 1)

  @property
  def output_spec(self) -> Features:
    return Features(self.bits)

  @property
  def length(self) -> int:
    return self.vectors + self.outputs

  @property
  def labels(self) -> int:
    return self.outputs

  @property
  def answers(self) -> Sequence[int]:
    return [self.bits * self.outputs]

  def example(self, key: RowKey) -> Example:
    of_bits, of_priorities = jax.random.split(key)
    vectors_SF = random_bits(of_bits, self.vectors, self.bits)
    priority_S = jax.random.uniform(
      of_priorities, (self.vectors,), minval=-1.0, maxval=1.0
    )
    highest = jax.lax.top_k(priority_S, self.outputs)[1]
    shown_SF = jnp.concatenate([vectors_SF, priority_S[:, None]], axis=1)
    return Example(
      jnp.pad(shown_SF, [(0, self.outputs), (0, 0)]),
      jnp.pad(vectors_SF[highest], [(self.vectors, 0), (0, 0)]),
      during(self.vectors, self.outputs, self.length),
    )
