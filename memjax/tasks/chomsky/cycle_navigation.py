"""Cycle navigation: the end of a walk on a cycle of five places.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L steps, uniform among back, stay and forward (symbols 0, 1, 2),
from place 0 of a cycle of five; the answer is the last place. Rows and lengths
are those of `episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/5.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class CycleNavigation(SequenceTask):
  """A walk to follow.

  Attributes:
    places: number of places of the cycle.
    shortest: as in `SequenceTask`.
    longest: as in `SequenceTask`.
  """

  places: int = 5

  def __post_init__(self) -> None:
    super().__post_init__()
    require(self.places >= 2, 'places', self.places, 'must be at least 2')

  @property
  def alphabet(self) -> int:
    return 3

  @property
  def answers(self) -> int:
    return self.places

  def example(self, key: RowKey) -> Example:
    of_length, of_steps = jax.random.split(key)
    length = self.draw_length(of_length)
    steps_S = self.string(of_steps, 3)
    walked_S = jnp.where(jnp.arange(self.longest) < length, steps_S - 1, 0)
    return self.row(steps_S, length, walked_S.sum()[None] % self.places)
