"""Dynamic n-grams: predict the next bit of a source that differs by row.

Paper: Graves et al. 2014, Neural Turing Machines, section 4.4,
https://arxiv.org/abs/1410.5401.
Specification: a table of 32 probabilities, one for each value of the last five
bits, drawn from Beta(1/2, 1/2) for each row. Five fair bits, then 195 whose
probability of 1 is in the table. At each bit the next one is predicted.
Labels: the 199 steps whose bit is followed by another.
Metrics: `loss`, nats per bit; `bits_wrong`, wrong bits per sequence;
`bits_per_sequence`, cross-entropy in bits; `exact_match`, the share of
sequences without a wrong bit.
Baselines: chance, 199 bits; and the optimal predictor without the table. It
predicts 1 with probability (N1 + 1/2) / (N0 + N1 + 1), where N0 and N1 count
the zeros and ones that followed the same five bits before, and 1/2 for the
first bits. It needs 132.25 bits (standard error 0.04) and predicts 47.00 bits
wrong (0.015): means over 1,000,000 sequences drawn with NumPy as specified.
Deviations: the paper does not say whether the first five bits count; here all
but the first do, which costs four bits that no predictor can save.
"""

from collections.abc import Sequence
import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.ntm.bits import (
  BitTask,
)
from memjax.types import Example, Features, RowKey

OPTIMAL = {(6, 200): (132.25, 47.0)}  # (order, sequence): bits, bits wrong


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicNGrams(BitTask):
  """Bits from a table of probabilities that must be learned while reading.

  Attributes:
    order: the n of n-gram: a probability depends on the n - 1 bits before.
    sequence: bits of a row, one more than its steps.
  """

  order: int = 6
  sequence: int = 200

  def __post_init__(self) -> None:
    require(1 <= self.order <= 20, 'order', self.order, 'must be in 1..20')
    at_least = max(self.order, 2)
    rule = f'must be at least {at_least}, the order and 2'
    require(self.sequence >= at_least, 'sequence', self.sequence, rule)

  @property
  def input_spec(self) -> Features:
    return Features(1)

  output_spec = input_spec

  @property
  def length(self) -> int:
    return self.sequence - 1

  @property
  def answers(self) -> Sequence[int]:
    return [self.length]

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    known = super().baselines
    if (self.order, self.sequence) in OPTIMAL:
      bits, wrong = OPTIMAL[self.order, self.sequence]
      known['loss']['optimal'] = bits * math.log(2) / self.length
      known['bits_wrong']['optimal'] = wrong
      known['bits_per_sequence']['optimal'] = bits
    return known

  def example(self, key: RowKey) -> Example:
    of_table, of_bits = jax.random.split(key)
    before, contexts = self.order - 1, 2 ** (self.order - 1)
    # The sine of a uniform angle, squared, follows Beta(1/2, 1/2).
    angle = jax.random.uniform(of_table, (contexts,)) * (math.pi / 2)
    table = jnp.sin(angle) ** 2

    def draw(
      seen: jax.Array, now: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
      n, uniform = now
      bit = uniform < jnp.where(n < before, 0.5, table[seen])
      return (2 * seen + bit.astype(jnp.int32)) % contexts, bit

    uniform_N = jax.random.uniform(of_bits, (self.sequence,))
    numbered = jnp.arange(self.sequence), uniform_N
    _, bit_N = jax.lax.scan(draw, jnp.zeros((), jnp.int32), numbered)
    bits = bit_N.astype(jnp.float32)[:, None]
    return Example(bits[:-1], bits[1:], jnp.ones(self.length))
