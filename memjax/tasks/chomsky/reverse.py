"""Reverse: a string to reverse.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L symbols, uniform among 2; the answer is the string from its
last symbol to its first. Rows and lengths are those of `episode.py`.
Labels: L, from the marker on.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import StringTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reverse(StringTask):
  """A string to reverse. Attributes: those of `StringTask`."""

  def example(self, key: RowKey) -> Example:
    of_length, of_string = jax.random.split(key)
    length = self.draw_length(of_length)
    string_S = self.string(of_string, self.symbols)
    place_S = jnp.arange(self.longest)
    reversed_S = string_S.take(length - 1 - place_S, mode='clip')
    return self.row(string_S, length, reversed_S, length)
