"""Delayed XOR: keep one bit, then another, and say if they differ.

Paper: Kim et al. 2019, https://doi.org/10.1073/pnas.1905926116, whose networks
learn it from two pulses with a delay between them.
Specification: tokens 0 nothing, 1 and 2 distracting bits, 3 and 4 the bits to
keep, 5 go. A row: a bit to keep, a delay, the other bit to keep, a delay, go;
behind it nothing. Both delays are uniform in shortest..longest and full of
distracting bits. All bits are fair.
Labels: at go, 1 if the two bits differ, else 0. The distance is that to the
first bit.
Metrics: `loss`, nats per row, and `accuracy`. Who lacks one of the two bits
scores chance, 1/2.
Deviations: the paper's input is a pulse of 1 or -1 in continuous time, its
delays are empty and of one length, and there is no cue.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.tasks.base import GeneratedTask, ordered
from memjax.tasks.draws import between
from memjax.types import Example, RowKey, Tokens

DISTRACTS, KEEP, GO = 1, 3, 5  # of a pair, the one that stands for 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DelayedXOR(GeneratedTask):
  """Two bits to keep over two delays.

  Attributes:
    shortest: the fewest distracting bits of a delay.
    longest: the most.
  """

  shortest: int = 1
  longest: int = 20
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(GO + 1)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(2)

  @property
  def length(self) -> int:
    return 2 * self.longest + 3

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {'loss': {'chance': math.log(2)}, 'accuracy': {'chance': 1 / 2}}

  def example(self, key: RowKey) -> Example:
    of_first, of_second, of_bits = jax.random.split(key, 3)
    second = between(of_first, self.shortest, self.longest) + 1
    go = second + between(of_second, self.shortest, self.longest) + 1
    bits_T = jax.random.bernoulli(of_bits, shape=(self.length,))
    bits_T = bits_T.astype(jnp.int32)
    step_T = jnp.arange(self.length)
    kept_T = (step_T == 0) | (step_T == second)
    inputs = bits_T + jnp.where(kept_T, KEEP, DISTRACTS)
    inputs = jnp.where(step_T < go, inputs, 0).at[go].set(GO)
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      inputs,
      nothing.at[go].set(bits_T[0] ^ bits_T[second]),
      jnp.zeros(self.length).at[go].set(1.0),
      nothing.at[go].set(go),
    )
