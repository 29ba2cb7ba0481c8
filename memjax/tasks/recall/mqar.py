"""Multi-query associative recall: pairs once, then a query for every key.

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927.
Specification: P different keys from 1..V/2-1 and P different values from
V/2..V-1 alternate at the first 2P positions. Each key then appears once more,
at position 2P + 2(g - 1). Its gap g is drawn from 1..(T - 2P)/2 with
probability proportional to a g^(a - 1), without repetition; the first key draws
first. All other positions are 0.
Labels: the value, at the second position of its key. The distance is the number
of steps back to the value.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Answering with a random value scores
1/(V/2), with a random value of the row 1/P.
Deviations: none from the paper's Figure 2, whose (T, P) are (64, 4), (128, 8),
(256, 16), (512, 64) with V 8192 and a 0.01. Its code can also fill the other
positions with random tokens, and does so in later studies.
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
class MQAR(TokenTask):
  """Key-value pairs, then one query for every key.

  Attributes:
    length: T, even.
    pairs: P, number of pairs; at most T/4, so that every query has a position.
    vocab: V, half keys and half values.
    power: the paper's a. Small values favour short gaps; 1 makes all gaps
      equally likely.
  """

  length: int = 64
  pairs: int = 4
  vocab: int = 8192
  power: float = 0.01
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'pairs')
    require(self.length % 2 == 0, 'length', self.length, 'must be even')
    require(
      self.length >= 4 * self.pairs,
      'length',
      self.length,
      f'must be at least 4 x pairs, {4 * self.pairs}',
    )
    require(
      self.vocab // 2 > self.pairs,
      'vocab',
      self.vocab,
      f'must be at least 2 x pairs + 2, {2 * self.pairs + 2}',
    )
    require(0 < self.power < math.inf, 'power', self.power, 'must be above 0')

  @property
  def labels(self) -> int:
    return self.pairs

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    values = self.vocab - self.vocab // 2
    return {
      'loss': {
        'any value': math.log(values),
        'any value of the row': math.log(self.pairs),
      },
      'accuracy': {
        'any value': 1 / values,
        'any value of the row': 1 / self.pairs,
      },
    }

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_gaps = jax.random.split(key, 3)
    first_value = self.vocab // 2
    keys_P = 1 + distinct(of_keys, self.pairs, first_value - 1)
    values_P = first_value + distinct(
      of_values, self.pairs, self.vocab - first_value
    )
    context = jnp.stack([keys_P, values_P], -1).reshape(-1)
    query_P = 2 * self.pairs + 2 * self._gaps(of_gaps)
    tokens = jnp.zeros(self.length, jnp.int32)
    value_P = 2 * jnp.arange(self.pairs) + 1
    return Example(
      tokens.at[: 2 * self.pairs].set(context).at[query_P].set(keys_P),
      tokens.at[query_P].set(values_P),
      jnp.zeros(self.length).at[query_P].set(1.0),
      tokens.at[query_P].set(query_P - value_P),
    )

  def _gaps(self, key: RowKey) -> jax.Array:
    """`(P,)` g - 1 for each key, drawn one by one without repetition.

    The P largest values of log p(g) plus Gumbel noise, in falling order, are
    such a draw (Vieira 2014, Gumbel-max trick and weighted reservoir sampling).
    """
    gaps = jnp.arange(1, (self.length - 2 * self.pairs) // 2 + 1)
    log_p = (self.power - 1) * jnp.log(gaps.astype(jnp.float32))
    noise = jax.random.gumbel(key, log_p.shape)
    return jax.lax.top_k(log_p + noise, self.pairs)[1]
