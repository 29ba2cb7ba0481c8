"""Adding: two of T numbers are marked; answer their sum at the end.

Paper: Hochreiter & Schmidhuber 1997; as in Bai et al. 2018 (TCN),
https://arxiv.org/abs/1803.01271, whose results are the reference.
Specification: T steps of two features: a value uniform in [0, 1) and a marker,
which is 1 at two different steps, uniformly drawn, and 0 elsewhere. The target
is the sum of the two marked values.
Labels: the last position only. The distance is the number of steps back to the
earlier mark.
Metrics: `loss`, squared error; always answering 1, the mean, scores 1/6.
`exact_match`, the share of rows with an error below 0.04.
Deviations: none. Arjovsky et al. 2016 mark one step in each half instead, and
Hochreiter & Schmidhuber one of the first ten steps and another of the first
half, with values in [-1, 1] and a target scaled to [0, 1].
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import GeneratedTask
from memjax.types import Batch, Example, Features, Metric, Metrics, RowKey

TOLERANCE = 0.04


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adding(GeneratedTask):
  """The sum of two marked numbers among many.

  Attributes:
    length: T, number of steps.
  """

  length: int = 200
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    require(self.length >= 2, 'length', self.length, 'must be at least 2')

  @property
  def input_spec(self) -> Features:
    return Features(2)

  @property
  def output_spec(self) -> Features:
    return Features(1)

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'always 1': 1 / 6},
      'exact_match': {'always 1': 1 - (1 - TOLERANCE) ** 2},
    }

  def example(self, key: RowKey) -> Example:
    of_values, of_one, of_other = jax.random.split(key, 3)
    value_T = jax.random.uniform(of_values, (self.length,))
    one = jax.random.randint(of_one, (), 0, self.length)
    other = jax.random.randint(of_other, (), 0, self.length - 1)
    other = jnp.where(other < one, other, other + 1)
    marker_T = jnp.zeros(self.length).at[one].set(1.0).at[other].set(1.0)
    total = value_T[one] + value_T[other]
    targets = jnp.zeros((self.length, 1)).at[-1, 0].set(total)
    loss_weights_T = jnp.zeros(self.length).at[-1].set(1.0)
    distance = self.length - 1 - jnp.minimum(one, other)
    return Example(
      jnp.stack([value_T, marker_T], -1),
      targets,
      loss_weights_T,
      jnp.zeros(self.length, jnp.int32).at[-1].set(distance),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    error_BT = (y.astype(jnp.float32) - batch.targets)[..., 0]
    close_BT = jnp.abs(error_BT) < TOLERANCE
    loss_weights_BT = batch.loss_weights_BT
    count = loss_weights_BT.sum()
    return {
      'loss': Metric((error_BT**2 * loss_weights_BT).sum(), count),
      'exact_match': Metric(
        jnp.where(close_BT, loss_weights_BT, 0.0).sum(), count
      ),
    }
