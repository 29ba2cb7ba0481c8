"""Duplicate: a string to repeat twice.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L symbols, uniform among 2; the answer is the string and the
string again, without a separator. Rows and lengths are those of `episode.py`.
Labels: 2L, from the marker on.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import StringTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duplicate(StringTask):
  """A string to duplicate. Attributes: those of `StringTask`."""

  def most(self, length: int) -> int:
    return 2 * length

  def example(self, key: RowKey) -> Example:
    of_length, of_string = jax.random.split(key)
    length = self.draw_length(of_length)
    string_S = self.string(of_string, self.symbols)
    twice_A = string_S[jnp.arange(2 * self.longest) % length]
    return self.row(string_S, length, twice_A, 2 * length)
