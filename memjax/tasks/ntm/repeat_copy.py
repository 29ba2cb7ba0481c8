"""Repeat copy: repeat a sequence a given number of times, then an end marker.

Paper: Graves et al. 2014, Neural Turing Machines, section 4.2,
https://arxiv.org/abs/1410.5401.
Specification: N vectors of 8 fair bits, then R on a separate channel, N and R
uniform in 1-10. R is normalised to mean 0 and variance 1, (R - 5.5) / 2.87. In
the blank steps that follow, the N vectors are repeated R times, and then an end
marker on a ninth output. Rows are padded to 10 + 1 + 10 x 10 + 1 steps.
Labels: the N R + 1 steps after R, nine bits each. The marker is 0 at all of
them but the last; the other bits are 0 at the last. Their sequence length is
N R.
Metrics: `loss`, nats per bit; `bits_wrong`, wrong bits per sequence;
`bits_per_sequence`, cross-entropy in bits; `exact_match`, the share of
sequences without a wrong bit. Chance is half of the bits
wrong.
Deviations: none.
"""

from collections.abc import Sequence
import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
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
class RepeatCopy(BitTask):
  """A sequence of bit vectors to repeat several times.

  Attributes:
    bits: bits of a vector.
    shortest: the fewest vectors of a sequence.
    longest: the most vectors of a sequence.
    fewest: the fewest repeats.
    most: the most repeats.
    usual: R is normalised so that 1..usual has mean 0 and variance 1,
      independently of `fewest` and `most`: a model trained on up to 10 repeats
      reads 20 on the same scale. Even, so that no R is normalised to 0.
  """

  bits: int = 8
  shortest: int = 1
  longest: int = 10
  fewest: int = 1
  most: int = 10
  usual: int = 10
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'bits', 'usual')
    ordered(self, 'shortest', 'longest')
    ordered(self, 'fewest', 'most')
    require(self.usual % 2 == 0, 'usual', self.usual, 'must be even')

  @property
  def input_spec(self) -> Features:
    return Features(self.bits + 1)

  @property
  def output_spec(self) -> Features:
    return Features(self.bits + 1)

  @property
  def length(self) -> int:
    return self.longest + 1 + self.longest * self.most + 1

  @property
  def labels(self) -> int:
    return self.longest * self.most + 1

  @property
  def answers(self) -> Sequence[int]:
    return [
      (self.bits + 1) * (n * r + 1)
      for n in range(self.shortest, self.longest + 1)
      for r in range(self.fewest, self.most + 1)
    ]

  def example(self, key: RowKey) -> Example:
    of_count, of_repeats, of_bits = jax.random.split(key, 3)
    count = between(of_count, self.shortest, self.longest)
    repeats = between(of_repeats, self.fewest, self.most)
    vectors_SF = random_bits(of_bits, self.longest, self.bits)
    shown_TF = place(vectors_SF, 0, count, self.length)
    scaled = self._normalised(repeats)
    repeated_SF = vectors_SF[jnp.arange(self.longest * self.most) % count]
    start, steps = count + 1, count * repeats
    answer_TF = place(repeated_SF, start, steps, self.length)
    return Example(
      jnp.pad(shown_TF, [(0, 0), (0, 1)]).at[count, self.bits].set(scaled),
      jnp.pad(answer_TF, [(0, 0), (0, 1)])
      .at[start + steps, self.bits]
      .set(1.0),
      during(start, steps + 1, self.length),
      jnp.where(during(start, steps + 1, self.length) > 0, steps, 0),
    )

  def _normalised(self, repeats: jax.Array) -> jax.Array:
    mean, variance = (self.usual + 1) / 2, (self.usual**2 - 1) / 12
    return (repeats.astype(jnp.float32) - mean) / math.sqrt(variance)
