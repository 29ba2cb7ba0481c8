"""Cycle navigation: where a walk on a circle of five places ends.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L steps, uniform among back, stay and on (symbols 0, 1, 2), from
place 0 of a circle of five; the answer is the last place. Rows and lengths are
those of `base.py`.
Labels: one, at the marker.
Metrics: those of `base.py`; chance is 1/5.
Deviations: those of `base.py`.
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
    places: of the circle.
    shortest: as in `SequenceTask`.
    longest: likewise.
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
    length = self.drawn(of_length)
    steps_S = self.string(of_steps, 3)
    walked_S = jnp.where(jnp.arange(self.longest) < length, steps_S - 1, 0)
    return self.row(steps_S, length, walked_S.sum()[None] % self.places)
