"""Flip-flop: a bit is written, ignored bits follow, and it is read.

Paper: Liu et al. 2023, Exposing Attention Glitches with Flip-Flop Language
Modeling, https://arxiv.org/abs/2306.00946.
Specification: T/2 instructions, each followed by a bit. The first instruction
is a write, the last one a read. Each other one is an ignore with probability
`ignore`, and else a write or a read, equally likely. The bits of writes and
ignores are fair; the bit of a read is the one last written. Tokens: the bits 0
and 1, then write 2, read 3, ignore 4. The paper trains with `ignore` 0.8 and
tests on sparse rows, 0.98, and dense ones, 0.1.
Labels: the bit of every read, at the read. The distance is the number of steps
back to the bit that was written.
Metrics: `loss`, nats per read; `accuracy` over reads; `exact_match`, the share
of rows without a wrong read, which the paper calls a glitch. Chance is 1/2.
Repeating the bit before the read is right unless an ignore stood there, and
then by chance.
Deviations: only reads count, as in the paper's measure; its loss counts every
token.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.types import Example, RowKey

WRITE, READ, IGNORE = 2, 3, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlipFlop(TokenTask):
  """A register of one bit.

  Attributes:
    length: T, even.
    ignore: probability that an instruction is an ignore.
  """

  length: int = 512
  ignore: float = 0.8
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    fits = self.length >= 4 and self.length % 2 == 0
    require(fits, 'length', self.length, 'must be even, and at least 4')
    rule = 'must be at least 0 and below 1'
    require(0 <= self.ignore < 1, 'ignore', self.ignore, rule)

  @property
  def vocab(self) -> int:
    return 5

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    # Expected reads after the first write, after any other one, and the last.
    read, between = (1 - self.ignore) / 2, self.length // 2 - 2
    first, others = read * (between > 0), read * max(between - 1, 0)
    after_ignore = others + (between > 0)
    wrong = after_ignore * self.ignore / 2
    return {
      'loss': {'chance': math.log(2)},
      'accuracy': {
        'chance': 1 / 2,
        'the bit before': 1 - wrong / (first + others + 1),
      },
    }

  def example(self, key: RowKey) -> Example:
    of_instructions, of_bits = jax.random.split(key)
    count = self.length // 2
    place_I = jnp.arange(count)
    uniform_I = jax.random.uniform(of_instructions, (count,))
    reads_from = (1 + self.ignore) / 2
    drawn_I = jnp.where(uniform_I < reads_from, WRITE, READ)
    drawn_I = jnp.where(uniform_I < self.ignore, IGNORE, drawn_I)
    instruction_I = drawn_I.at[0].set(WRITE).at[-1].set(READ)
    drawn_I = jax.random.bernoulli(of_bits, shape=(count,)).astype(jnp.int32)
    written_I = jax.lax.cummax(jnp.where(instruction_I == WRITE, place_I, 0))
    reads_I = instruction_I == READ
    bit_I = jnp.where(reads_I, drawn_I[written_I], drawn_I)
    nothing_I = jnp.zeros(count, jnp.int32)

    def row(at_instruction: jax.Array, at_bit: jax.Array) -> jax.Array:
      return jnp.stack([at_instruction, at_bit], -1).reshape(-1)

    distance_I = jnp.where(reads_I, 2 * (place_I - written_I) - 1, 0)
    return Example(
      row(instruction_I, bit_I),
      row(jnp.where(reads_I, bit_I, 0), nothing_I),
      row(reads_I.astype(jnp.float32), jnp.zeros(count)),
      row(distance_I, nothing_I),
    )
