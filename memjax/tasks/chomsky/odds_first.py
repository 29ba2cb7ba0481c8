"""Odds first: repeat a string, the symbols at odd places first.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L symbols s_0, s_1, ..., uniform among 2; the answer is s_1, s_3,
s_5, ..., then s_0, s_2, s_4, .... Rows and lengths are those of `episode.py`.
Labels: L, from the marker on.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`. The paper's text counts the symbols
from 1, so its odd symbols are the others; its code counts from 0, as here.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import StringTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class OddsFirst(StringTask):
  """A string to reorder. Attributes: those of `StringTask`."""

  def example(self, key: RowKey) -> Example:
    of_length, of_string = jax.random.split(key)
    length = self.draw_length(of_length)
    string_S = self.string(of_string, self.symbols)
    place_S, odds = jnp.arange(self.longest), length // 2
    is_odd_S = place_S < odds
    from_S = jnp.where(is_odd_S, 2 * place_S + 1, 2 * (place_S - odds))
    answer_S = string_S.take(from_S, mode='clip')
    return self.row(string_S, length, answer_S, length)
