"""MQAROverwrite: keys are written several times, and the last value counts.

Paper: none. It is multi-query associative recall (Arora et al. 2023, Zoology,
https://arxiv.org/abs/2312.04927) with keys that appear more than once.
Specification: W writes, each a key and then a value, fill the first 2W
positions. Their keys are drawn, with repetition, from K different keys of
1..V/2-1; their values, V/2..V-1, are all different. Each written key is then
queried once, at 2W + 2g, where the g are different uniform numbers of
0..(T-2W)/2-1. All other positions are 0.
Labels: the last value written to a key, at the position of its query. The
distance is the number of steps back to this value.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Baselines: answering with a random value, a random value of the row, a random
value written to the key, or the first value written to it. The number n of
writes to a key is binomial in W and 1/K and not 0, which gives the last two.
Deviations: none; no published task exists.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  TokenTask,
  positive,
)
from memjax.tasks.draws import distinct
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class MQAROverwrite(TokenTask):
  """Keys whose values change, and one query for the last value of each.

  Attributes:
    length: T, even; at least 2 x writes + 2 x keys, so that every query has a
      position.
    keys: K, number of keys that a write can have.
    writes: W, number of writes.
    vocab: V, half keys and half values.
  """

  length: int = 128
  keys: int = 8
  writes: int = 32
  vocab: int = 8192
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'keys', 'writes')
    require(self.length % 2 == 0, 'length', self.length, 'must be even')
    steps = 2 * (self.writes + self.keys)
    rule = f'must be at least 2 x writes + 2 x keys, {steps}'
    require(self.length >= steps, 'length', self.length, rule)
    tokens = 2 * max(self.keys + 1, self.writes)
    rule = f'must be at least 2 x keys + 2 and 2 x writes, {tokens}'
    require(self.vocab >= tokens, 'vocab', self.vocab, rule)

  @property
  def labels(self) -> int:
    return min(self.keys, self.writes)

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    values, writes = self.vocab - self.vocab // 2, self.writes
    others = self.keys - 1
    chance = {
      n: math.comb(writes, n) * others ** (writes - n) / self.keys**writes
      for n in range(1, writes + 1)
    }
    written = sum(chance.values())
    return {
      'loss': {
        'any value': math.log(values),
        'any value of the row': math.log(writes),
        'any value of the key': sum(
          p * math.log(n) / written for n, p in chance.items()
        ),
      },
      'accuracy': {
        'any value': 1 / values,
        'any value of the row': 1 / writes,
        'any value of the key': sum(p / n / written for n, p in chance.items()),
        'first value of the key': chance[1] / written,
      },
    }

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_writes, of_places = jax.random.split(key, 4)
    first_value, shown = self.vocab // 2, 2 * self.writes
    keys_K = 1 + distinct(of_keys, self.keys, first_value - 1)
    values_W = first_value + distinct(
      of_values, self.writes, self.vocab - first_value
    )
    key_W = jax.random.randint(of_writes, (self.writes,), 0, self.keys)
    writes_W2 = jnp.stack([keys_K[key_W], values_W], axis=-1)
    last_K = jnp.full(self.keys, -1).at[key_W].max(jnp.arange(self.writes))
    places = distinct(of_places, self.keys, (self.length - shown) // 2)
    # The query of a key that was never written lies beyond the row.
    query_K = jnp.where(last_K < 0, self.length, shown + 2 * places)
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      nothing.at[:shown].set(writes_W2.reshape(-1)).at[query_K].set(keys_K),
      nothing.at[query_K].set(values_W[last_K]),
      jnp.zeros(self.length).at[query_K].set(1.0),
      nothing.at[query_K].set(query_K - (2 * last_K + 1)),
    )
