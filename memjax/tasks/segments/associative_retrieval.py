"""Associative retrieval: pairs in segments, and one key asked in the last.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code;
the pairs are those of Ba et al. 2016, https://arxiv.org/abs/1610.06258.
Specification: K pairs of a key, one of 26 letters, 12..37, and its value, one
of ten numbers, 1..10; the keys of a row are all different, and the values are.
Then one of the keys again, all alike, and the token 11, which asks: 2K + 2
steps. They are read in n segments, one pair each if n is K + 1; blanks, 0, fill
the last, so that the row divides into n segments of equal length.
Labels: the key's value, at the token that asks; the distance is that to the
value.
Metrics: `loss`, nats per label; `accuracy`. Naming any value is right once in
10, naming any value of the row once in K.
Deviations: more pairs than letters or numbers are refused; the code then draws
them with repetition. The blanks are ours.
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
  """One value to retrieve, for a model that is given a segment at a time.

  Train it with `train.segment_length` set to the task's own.

  Attributes:
    pairs: K.
    keys: how many letters there are.
    values: how many numbers.
    segments: n.
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
    asks, label = self.values + 1, 2 * self.pairs + 1
    keys_P = asks + 1 + distinct(of_keys, self.pairs, self.keys)
    values_P = 1 + distinct(of_values, self.pairs, self.values)
    query = jax.random.randint(of_query, (), 0, self.pairs)
    pairs_P2 = jnp.stack([keys_P, values_P], axis=-1)
    nothing = jnp.zeros(self.length, jnp.int32)
    row = nothing.at[: label - 1].set(pairs_P2.reshape(-1))
    return Example(
      row.at[label - 1].set(keys_P[query]).at[label].set(asks),
      nothing.at[label].set(values_P[query]),
      jnp.zeros(self.length).at[label].set(1.0),
      nothing.at[label].set(label - (2 * query + 1)),
    )
