"""In-context regression: a linear function to infer from its examples.

Paper: Garg et al. 2022, https://arxiv.org/abs/2208.01066; von Oswald et al.
2023, https://arxiv.org/abs/2212.07677.
Specification: each row has weights w of d numbers, normal with variance 1/d. At
step t the input is x_t, d standard normal numbers, and the answer y_(t-1) of
the step before, 0 at the first. The answer y_t is w x_t plus normal noise. With
a drift, the weights change from step to step:
w_t = sqrt(1 - drift) w_(t-1) + sqrt(drift) new weights.
Labels: y_t, at every step. The distance is t, the number of steps back to the
first example.
Metrics: `loss`, the squared error per label. Always answering 0 costs 1 +
noise^2. `optimal` is the least loss that is possible, that of ridge regression
on the examples so far, and with a drift that of the Kalman filter; it is
estimated on 256 rows.
Deviations: the papers interleave x and y, or show both at once; here a step
reads both, the answer one step late, so that a row needs no copies.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import GeneratedTask, positive
from memjax.types import Batch, Example, Features, Metric, Metrics, RowKey

ESTIMATED_ON = 256  # rows, for the least loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regression(GeneratedTask):
  """Examples of a linear function, each to predict.

  Attributes:
    length: T, number of examples.
    width: d, numbers of an input.
    noise: standard deviation of the noise in the answers.
    drift: share of the weights' variance that is new at every step; 0: the
      function stays the same.
  """

  length: int = 32
  width: int = 8
  noise: float = 0.1
  drift: float = 0.0
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'width')
    require(self.length >= 2, 'length', self.length, 'must be at least 2')
    fits = 0 <= self.noise < math.inf
    require(fits, 'noise', self.noise, 'must be at least 0')
    rule = 'must be from 0 to 1'
    require(0 <= self.drift <= 1, 'drift', self.drift, rule)

  @property
  def input_spec(self) -> Features:
    return Features(self.width + 1)

  @property
  def output_spec(self) -> Features:
    return Features(1)

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    optimal_T = least_loss(self.length, self.width, self.noise, self.drift)
    return {
      'loss': {
        'always 0': 1 + self.noise**2,
        'optimal': float(optimal_T.mean()),
      }
    }

  def example(self, key: RowKey) -> Example:
    of_weights, of_inputs, of_noise = jax.random.split(key, 3)
    shape = self.length, self.width
    fresh_TF = jax.random.normal(of_weights, shape) / math.sqrt(self.width)
    kept, new = math.sqrt(1 - self.drift), math.sqrt(self.drift)

    def change(
      w_F: jax.Array, fresh_F: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
      w_F = kept * w_F + new * fresh_F
      return w_F, w_F

    first_F = fresh_TF[0]
    _, later_TF = jax.lax.scan(change, first_F, fresh_TF[1:])
    w_TF = jnp.concatenate([first_F[None], later_TF])
    x_TF = jax.random.normal(of_inputs, shape)
    noise_T = self.noise * jax.random.normal(of_noise, (self.length,))
    y_T1 = ((w_TF * x_TF).sum(axis=-1) + noise_T)[:, None]
    before_T1 = jnp.roll(y_T1, 1, axis=0).at[0].set(0.0)
    return Example(
      jnp.concatenate([x_TF, before_T1], axis=1),
      y_T1,
      jnp.ones(self.length),
      jnp.arange(self.length),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    error_BT = jnp.square(y.astype(jnp.float32) - batch.targets).sum(axis=-1)
    weight_BT = batch.loss_weights_BT
    return {'loss': Metric((weight_BT * error_BT).sum(), weight_BT.sum())}


@functools.cache
def least_loss(
  length: int, width: int, noise: float, drift: float
) -> np.ndarray:
  """`(T,)` the expected squared error of the best estimate at each step.

  The covariance P of the weights, given the examples so far, does not depend on
  the answers: P shrinks by P x x' P / (x' P x + noise^2) with each example.
  """
  draws = np.random.Generator(np.random.PCG64(0))
  p_RFF = np.tile(np.eye(width) / width, (ESTIMATED_ON, 1, 1))
  loss_T = np.zeros(length)
  for t in range(length):
    x_RF = draws.standard_normal((ESTIMATED_ON, width))
    px_RF = np.einsum('rfg,rg->rf', p_RFF, x_RF)
    variance_R = (x_RF * px_RF).sum(axis=-1) + noise**2
    loss_T[t] = variance_R.mean()
    gain_RF = px_RF / np.maximum(variance_R, 1e-12)[:, None]
    p_RFF = p_RFF - gain_RF[:, :, None] * px_RF[:, None]
    p_RFF = (1 - drift) * p_RFF + drift * np.eye(width) / width
  return loss_T
