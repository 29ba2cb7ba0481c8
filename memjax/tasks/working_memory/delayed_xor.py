"""Delayed XOR: remember two bits and answer whether they differ.

Paper: Kim et al. 2019, https://doi.org/10.1073/pnas.1905926116, whose networks
learn it from two pulses with a delay between them.
Specification: tokens 0 blank, 1 and 2 distractor bits, 3 and 4 the bits to
remember, 5 go. A row: a bit to remember, a delay, the other bit to remember, a
delay, go, and blanks. Both delays have a uniform length in shortest..longest
and contain distractor bits. All bits are fair.
Labels: at go, 1 if the two bits differ, else 0. The distance is the number of
steps back to the first bit.
Metrics: `loss`, nats per row, and `accuracy`. A model that remembers at most
one of the two bits scores 1/2.
Deviations: the paper's input is a pulse of 1 or -1 in continuous time. Its
delays are empty and have one length, and it has no go cue.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.tasks.base import GeneratedTask, ordered
from memjax.tasks.draws import between
from memjax.types import Example, RowKey, Tokens

DISTRACTS, KEEP, GO = 1, 3, 5  # each pair's token for 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DelayedXOR(GeneratedTask):
  """Two bits to remember over two delays.

  Attributes:
    shortest: the fewest distractor bits of a delay.
    longest: the most distractor bits of a delay.
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
