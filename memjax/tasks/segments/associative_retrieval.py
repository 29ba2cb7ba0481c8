"""Associative retrieval: pairs in segments, and a query in the last one.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code;
the pairs are those of Ba et al. 2016, https://arxiv.org/abs/1610.06258.
Specification: K pairs of a key, one of 26 letters, 12..37, and its value, one
of ten numbers, 1..10. The keys of a row are all different, and so are the
values. Then one of the keys again, uniformly drawn, and the query token 11:
2K + 2 steps. They are read in n segments, one pair each if n is K + 1. Blanks,
0, pad the last segment, so that all segments have the same length.
Labels: the key's value, at the query token. The distance is the number of steps
back to the value.
Metrics: `loss`, nats per label; `accuracy`, and `exact_match`, the same with
one label per row. Answering with a random value scores 1/10, with a random
value of the row 1/K.
Deviations: more pairs than letters or numbers are refused; the code then draws
them with repetition. The blanks are an addition.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, positive
from memjax.tasks.draws import distinct
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociativeRetrieval(TokenTask):
  """One value to retrieve, for a model that reads segment by segment.

  Train with `train.segment_length` equal to the task's `segment_length`.

  Attributes:
    pairs: K, number of pairs.
    keys: number of letters.
    values: number of numbers.
    segments: n, number of segments.
  """

  pairs: int = 4
  keys: int = 26
  values: int = 10
  segments: int = 5
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'pairs', 'segments')
    rule = f'must be at least pairs, {self.pairs}'
    require(self.keys >= self.pairs, 'keys', self.keys, rule)
    require(self.values >= self.pairs, 'values', self.values, rule)

  @property
  def vocab(self) -> int:
    return 1 + self.values + 1 + self.keys

  @property
  def segment_length(self) -> int:
    """Steps of a segment."""
    return -(-(2 * self.pairs + 2) // self.segments)

  @property
  def length(self) -> int:
    return self.segments * self.segment_length

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {
        'any value': math.log(self.values),
        'any value of the row': math.log(self.pairs),
      },
      'accuracy': {
        'any value': 1 / self.values,
        'any value of the row': 1 / self.pairs,
      },
    }

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_query = jax.random.split(key, 3)
    query_token, label = self.values + 1, 2 * self.pairs + 1
    keys_P = query_token + 1 + distinct(of_keys, self.pairs, self.keys)
    values_P = 1 + distinct(of_values, self.pairs, self.values)
    query = jax.random.randint(of_query, (), 0, self.pairs)
    pairs_P2 = jnp.stack([keys_P, values_P], axis=-1)
    nothing = jnp.zeros(self.length, jnp.int32)
    row = nothing.at[: label - 1].set(pairs_P2.reshape(-1))
    return Example(
      row.at[label - 1].set(keys_P[query]).at[label].set(query_token),
      nothing.at[label].set(values_P[query]),
      jnp.zeros(self.length).at[label].set(1.0),
      nothing.at[label].set(label - (2 * query + 1)),
    )
