"""Continuous recall: keys and values are vectors, and come in the same step.

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927; the task is
from its code. One layer without a convolution can solve it: a step holds a key
and its value.
Specification: N keys and N values are fixed random vectors of D numbers and
length 1, the same for every row. A row draws P different keys and P different
values. In each of n passes, a step reads a key beside its value, in uniformly
random order; then a step reads each key beside zeros, in random order.
Labels: the value's vector, at the steps of the queries. The distance is the
number of steps back to the value, where it was last.
Metrics: `loss`, the squared length of the error; `accuracy`, the share of
labels whose value is the one, of all N, that the output is most similar to.
Answering with zeros costs 1, a random value is right with probability 1/N, a
random value of the row with 1/P.
Deviations: the code scores the similarities with a cross-entropy, and takes
trained embeddings as vectors.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import GeneratedTask, positive, predicts
from memjax.tasks.draws import distinct
from memjax.types import Batch, Example, Features, Metric, Metrics, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class MQARContinuous(GeneratedTask):
  """Pairs of vectors, and one query for every key.

  Attributes:
    pairs: P, number of pairs.
    passes: n, number of times that the pairs are shown.
    vectors: N, number of keys, and of values.
    width: D, numbers of a vector.
  """

  pairs: int = 8
  passes: int = 1
  vectors: int = 256
  width: int = 32
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'pairs', 'passes', 'width')
    rule = f'must be at least pairs, {self.pairs}'
    require(self.vectors >= self.pairs, 'vectors', self.vectors, rule)

  @property
  def input_spec(self) -> Features:
    return Features(2 * self.width)

  @property
  def output_spec(self) -> Features:
    return Features(self.width)

  @property
  def length(self) -> int:
    return (self.passes + 1) * self.pairs

  @property
  def labels(self) -> int:
    return self.pairs

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'zeros': 1.0},
      'accuracy': {
        'any value': 1 / self.vectors,
        'any value of the row': 1 / self.pairs,
      },
    }

  def example(self, key: RowKey) -> Example:
    keys_ND, values_ND = map(jnp.asarray, table(self.vectors, self.width))
    of_keys, of_values, of_order = jax.random.split(key, 3)
    keys_PD = keys_ND[distinct(of_keys, self.pairs, self.vectors)]
    values_PD = values_ND[distinct(of_values, self.pairs, self.vectors)]
    orders = jax.random.split(of_order, self.passes + 1)
    order_NP = jax.vmap(lambda key: distinct(key, self.pairs, self.pairs))(
      orders
    )
    order_T, step_T = order_NP.ravel(), jnp.arange(self.length)
    asked_T = step_T >= self.passes * self.pairs
    place_P = jnp.argsort(order_NP[-2])  # of each pair in the last pass
    shown_T = (self.passes - 1) * self.pairs + place_P[order_T]
    values_TD = values_PD[order_T]
    return Example(
      jnp.concatenate(
        [keys_PD[order_T], jnp.where(asked_T[:, None], 0.0, values_TD)], axis=1
      ),
      jnp.where(asked_T[:, None], values_TD, 0.0),
      asked_T.astype(jnp.float32),
      jnp.where(asked_T, step_T - shown_T, 0),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    y_BTD = y.astype(jnp.float32)
    _, values_ND = table(self.vectors, self.width)
    value_BT = jnp.argmax(batch.targets @ values_ND.T, axis=-1)
    right_BT = predicts(y_BTD @ values_ND.T, value_BT)
    weight_BT = batch.loss_weights_BT
    error_BT = jnp.square(y_BTD - batch.targets).sum(axis=-1)
    right = jnp.where(right_BT, weight_BT, 0.0).sum()
    return {
      'loss': Metric((error_BT * weight_BT).sum(), weight_BT.sum()),
      'accuracy': Metric(right, weight_BT.sum()),
    }


@functools.cache
def table(vectors: int, width: int) -> tuple[np.ndarray, np.ndarray]:
  """The keys and the values, each `(N, D)` float32 of length 1."""
  draws = np.random.Generator(np.random.PCG64(0))
  both = draws.standard_normal((2, vectors, width))
  both /= np.linalg.norm(both, axis=-1, keepdims=True)
  keys_ND, values_ND = both.astype(np.float32)
  return keys_ND, values_ND
