"""Bucket sort: a string to sort.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L symbols, uniform among 5; the answer is the same symbols in
rising order. Rows and lengths are those of `episode.py`.
Labels: L, from the marker on.
Metrics: those of `episode.py`; a random class scores 1/5.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import StringTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class BucketSort(StringTask):
  """A string to sort. Attributes: those of `StringTask`."""

  symbols: int = 5

  def example(self, key: RowKey) -> Example:
    of_length, of_string = jax.random.split(key)
    length = self.draw_length(of_length)
    string_S = self.string(of_string, self.symbols)
    place_S = jnp.arange(self.longest)
    read_S = jnp.where(place_S < length, string_S, self.symbols)
    sorted_S = jnp.sort(read_S)
    return self.row(string_S, length, sorted_S, length)
