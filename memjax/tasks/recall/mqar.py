"""Multi-query associative recall: pairs once, then a query for every key.

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927.
Specification: P different keys from 1..V/2-1 and P different values from
V/2..V-1 alternate at the first 2P positions; with n passes, these 2P tokens
come n times. Each key then appears once more, at position 2Pn + 2(g - 1). Its
gap g is drawn from 1..(T - 2Pn)/2 with probability proportional to a g^(a - 1),
without repetition; the first key draws first. All other positions are 0, or
with `random_fillers` tokens that are uniform in 0..V-1.
Labels: the value, at the last position of its key. The distance is the number
of steps back to the value, where it was last.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. With a `mixture`, also `accuracy_P_pairs`,
the accuracy of the rows with P pairs. Answering with a random value scores
1/(V/2), with a random value of the row 1/P.
Deviations: none from the paper's Figure 2, whose (T, P) are (64, 4), (128, 8),
(256, 16), (512, 64) with V 8192 and a 0.01; configs/mqar_mixture.py has the
protocol of later studies. Several passes are those of Arora et al. 2024, Just
read twice, https://arxiv.org/abs/2407.05483.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, positive, predicts
from memjax.tasks.draws import distinct
from memjax.tasks.stages import parse_parts
from memjax.types import Batch, Example, Metric, Metrics, RowKey

FILLERS = 1  # folded into a row's key to draw its random fillers


@dataclasses.dataclass(frozen=True, kw_only=True)
class MQAR(TokenTask):
  """Key-value pairs, then one query for every key.

  Attributes:
    length: T, even.
    pairs: P, number of pairs; at most T/(2n + 2), so that every query has a
      position.
    vocab: V, half keys and half values.
    power: the paper's a. Small values favour short gaps; 1 makes all gaps
      equally likely.
    passes: n, number of times that the pairs are shown.
    random_fillers: whether the other positions hold random tokens, not 0.
  """

  length: int = 64
  pairs: int = 4
  vocab: int = 8192
  power: float = 0.01
  passes: int = 1
  random_fillers: bool = False
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'pairs', 'passes')
    require(self.length % 2 == 0, 'length', self.length, 'must be even')
    factor = 2 * self.passes + 2
    rule = f'must be at least {factor} x pairs, {factor * self.pairs}'
    require(self.length >= factor * self.pairs, 'length', self.length, rule)
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
    pairs = jnp.stack([keys_P, values_P], -1).reshape(-1)
    shown = self.passes * pairs.size
    query_P = shown + 2 * self._gaps(of_gaps)
    nothing = jnp.zeros(self.length, jnp.int32)
    value_P = shown - pairs.size + 2 * jnp.arange(self.pairs) + 1
    tokens = nothing
    if self.random_fillers:
      of_fillers = jax.random.fold_in(key, FILLERS)
      tokens = jax.random.randint(of_fillers, (self.length,), 0, self.vocab)
    context = jnp.tile(pairs, self.passes)
    return Example(
      tokens.at[:shown].set(context).at[query_P].set(keys_P),
      nothing.at[query_P].set(values_P),
      jnp.zeros(self.length).at[query_P].set(1.0),
      nothing.at[query_P].set(query_P - value_P),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    right_BT = predicts(y, batch.targets)
    weight_BT = batch.loss_weights_BT
    pairs_B1 = (weight_BT > 0).sum(axis=1, keepdims=True)
    metrics = super().measure(y, batch)
    sizes = {part.task.pairs for part in parse_parts(self, 'mixture')}
    for pairs in sorted(sizes):
      counted_BT = jnp.where(pairs_B1 == pairs, weight_BT, 0.0)
      right = jnp.where(right_BT, counted_BT, 0.0).sum()
      metrics[f'accuracy_{pairs}_pairs'] = Metric(right, counted_BT.sum())
    return metrics

  def _gaps(self, key: RowKey) -> jax.Array:
    """`(P,)` g - 1 for each key, drawn one by one without repetition.

    The P largest values of log p(g) plus Gumbel noise, in falling order, are
    such a draw (Vieira 2014, Gumbel-max trick and weighted reservoir sampling).
    """
    shown = 2 * self.pairs * self.passes
    gaps = jnp.arange(1, (self.length - shown) // 2 + 1)
    log_p = (self.power - 1) * jnp.log(gaps.astype(jnp.float32))
    noise = jax.random.gumbel(key, log_p.shape)
    return jax.lax.top_k(log_p + noise, self.pairs)[1]
