"""Copy: read vectors of bits, then repeat them in the same order.

Paper: Graves et al. 2014, Neural Turing Machines, section 4.1,
https://arxiv.org/abs/1410.5401.
Specification: N vectors of 8 fair bits, N uniform in 1-20; then a delimiter on
a separate channel; then blank steps, in which the vectors are repeated. Rows
are padded to 2 x 20 + 1 steps.
Labels: the N steps after the delimiter. Their sequence length is N.
Metrics: `loss`, nats per bit; `bits_wrong`, wrong bits per sequence;
`bits_per_sequence`, cross-entropy in bits, the paper's learning curve;
`exact_match`, the share of sequences without a wrong bit. Chance is half of the
bits wrong: 42 of 84 at these lengths.
Deviations: none.
"""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.base import ordered, positive
from memjax.tasks.draws import between
from memjax.tasks.ntm.bits import (
  BitTask,
  during,
  place,
  random_bits,
)
from memjax.types import Example, Features, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitCopy(BitTask):
  """A sequence of bit vectors to repeat.

  Attributes:
    bits: bits of a vector.
    shortest: the fewest vectors of a sequence.
    longest: the most vectors; equal to `shortest` for a fixed length.
  """

  bits: int = 8
  shortest: int = 1
  longest: int = 20
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'bits')
    ordered(self, 'shortest', 'longest')

  @property
  def input_spec(self) -> Features:
    return Features(self.bits + 1)

  @property
  def output_spec(self) -> Features:
    return Features(self.bits)

  @property
  def length(self) -> int:
    return 2 * self.longest + 1

  @property
  def labels(self) -> int:
    return self.longest

  @property
  def answers(self) -> Sequence[int]:
    return [self.bits * n for n in range(self.shortest, self.longest + 1)]

  def example(self, key: RowKey) -> Example:
    of_count, of_bits = jax.random.split(key)
    count = between(of_count, self.shortest, self.longest)
    vectors_SF = random_bits(of_bits, self.longest, self.bits)
    shown_TF = place(vectors_SF, 0, count, self.length)
    answer = count + 1, count, self.length
    return Example(
      jnp.pad(shown_TF, [(0, 0), (0, 1)]).at[count, self.bits].set(1.0),
      place(vectors_SF, *answer),
      during(*answer),
      jnp.where(during(*answer) > 0, count, 0),
    )
