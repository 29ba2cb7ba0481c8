"""String copy: repeat a string, longer ones than in training.

Paper: Jelassi et al. 2024, Repeat After Me, https://arxiv.org/abs/2402.01032;
reversed, the palindromes of Kimi Team 2025, https://arxiv.org/abs/2510.26692.
Specification: a string of L letters, uniform in 0..V-1, L uniform in
shortest..longest; then the copy token V; then the string again, or reversed,
without its last letter. The end V + 1 pads the row.
Labels: the letters of the copy, from the copy token on, each at the letter
before it. The distance is the number of steps back to the same letter of the
string.
Metrics: `loss`, nats per letter; `accuracy` over letters; `exact_match`, the
share of strings that are copied whole, the paper's string-level measure. Chance
is 1/V.
Deviations: the paper packs several strings in a row of 420 tokens, and the end
has a label; its lengths are up to 300 in training and 1000 in tests.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered
from memjax.tasks.draws import between
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class StringCopy(TokenTask):
  """A string and its copy.

  Attributes:
    letters: V.
    shortest: letters of the shortest string.
    longest: letters of the longest string.
    backwards: whether the copy begins with the last letter.
  """

  letters: int = 26
  shortest: int = 1
  longest: int = 100
  backwards: bool = False
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')
    require(self.letters >= 2, 'letters', self.letters, 'must be at least 2')

  @property
  def vocab(self) -> int:
    return self.letters + 2

  @property
  def length(self) -> int:
    return 2 * self.longest

  @property
  def labels(self) -> int:
    return self.longest

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.letters)},
      'accuracy': {'chance': 1 / self.letters},
    }

  def example(self, key: RowKey) -> Example:
    of_length, of_string = jax.random.split(key)
    size = between(of_length, self.shortest, self.longest)
    string_S = jax.random.randint(of_string, (self.longest,), 0, self.letters)
    step_T = jnp.arange(self.length)
    place_T = step_T - size  # of the letter that is the label
    source_T = size - 1 - place_T if self.backwards else place_T
    labelled_T = (place_T >= 0) & (place_T < size)
    target_T = jnp.where(labelled_T, string_S.take(source_T, mode='clip'), 0)
    answer_T = jnp.where(labelled_T, jnp.roll(target_T, 1), self.letters + 1)
    answer_T = jnp.where(place_T == 0, self.letters, answer_T)
    shown_T = string_S.take(step_T, mode='clip')
    return Example(
      jnp.where(step_T < size, shown_T, answer_T),
      target_T,
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, step_T - source_T, 0),
    )
