"""Missing duplicate: a string twice with one bit hidden; answer that bit.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L // 2 fair bits, twice; a uniformly drawn place holds the
placeholder 2 instead, and the answer is the bit it hides. A row of odd length
ends with the filler 3. A row of one symbol is 1 and its answer is 1, as nothing
can be hidden. Rows and lengths are those of
`episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey

PLACEHOLDER, FILLER = 2, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MissingDuplicate(SequenceTask):
  """A bit to find in the copy. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 4

  @property
  def answers(self) -> int:
    return 2

  def example(self, key: RowKey) -> Example:
    of_length, of_bits, of_place = jax.random.split(key, 3)
    length = self.draw_length(of_length)
    half = jnp.maximum(length // 2, 1)
    place_S = jnp.arange(self.longest)
    twice_S = self.string(of_bits, 2)[place_S % half]
    missing = jax.random.randint(of_place, (), 0, 2 * half)
    hidden = twice_S[missing]
    symbols_S = jnp.where(place_S == missing, PLACEHOLDER, twice_S)
    symbols_S = jnp.where(place_S < 2 * half, symbols_S, FILLER)
    alone = length == 1
    symbols_S = jnp.where(alone, 1, symbols_S)
    return self.row(symbols_S, length, jnp.where(alone, 1, hidden)[None])
