"""Series: the value of a time series some steps ahead.

Paper: Mackey & Glass 1977, https://doi.org/10.1126/science.267326, in the form
of Jaeger & Haas 2004, https://doi.org/10.1126/science.1091277.
Specification: at step t the input is x_t, and the answer is x_(t + ahead).

    ramp          x_t = a + b t, a whole from 0 to 9, b from 1 to 3; all times
                  `scale`
    sines         a sum of three sines with periods of 5 to 50 steps, uniform in
                  their logarithm, any phase, and variance 1 in all
    mackey_glass  dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, by Euler
                  steps of 0.1, seen once a unit of time. A constant of 0.5 to
                  1.5 before time 0; the first 250 values are not shown

Labels: x_(t + ahead), at every step.
Metrics: `loss`, the squared error per label; `to_persistence`, the squared
errors over those of answering x_t: 1 for answering the last value, 0 for
knowing the series.
Deviations: Jaeger & Haas read 2000 values and then go on alone for 84.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import nearest, require
from memjax.tasks.base import GeneratedTask, positive
from memjax.types import Batch, Example, Features, Metric, Metrics, RowKey

KINDS = ('ramp', 'sines', 'mackey_glass')
SINES = 3
DELAY, PER_UNIT, SETTLING = 17, 10, 250  # of Mackey and Glass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series(GeneratedTask):
  """A series to continue.

  Attributes:
    kind: 'ramp', 'sines' or 'mackey_glass'.
    length: T.
    ahead: number of steps between a value and its answer.
    scale: factor of a ramp.
  """

  kind: str = 'mackey_glass'
  length: int = 256
  ahead: int = 1
  scale: float = 0.1
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'length', 'ahead')
    rule = f'unknown; {nearest(self.kind, KINDS)}'
    require(self.kind in KINDS, 'kind', self.kind, rule)
    fits = 0 < self.scale < math.inf
    require(fits, 'scale', self.scale, 'must be above 0')

  @property
  def input_spec(self) -> Features:
    return Features(1)

  output_spec = input_spec

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {'to_persistence': {'the last value': 1.0}}

  def example(self, key: RowKey) -> Example:
    draw = {'ramp': self._ramp, 'sines': sines, 'mackey_glass': mackey_glass}
    x_S1 = draw[self.kind](key, self.length + self.ahead)[:, None]
    seen_T1, answer_T1 = x_S1[: self.length], x_S1[self.ahead :]
    return Example(seen_T1, answer_T1, jnp.ones(self.length))

  def _ramp(self, key: RowKey, count: int) -> jax.Array:
    of_start, of_slope = jax.random.split(key)
    start = jax.random.randint(of_start, (), 0, 10)
    slope = jax.random.randint(of_slope, (), 1, 4)
    return self.scale * (start + slope * jnp.arange(count)).astype(jnp.float32)

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    y, weight_BT = y.astype(jnp.float32), batch.loss_weights_BT

    def squared(answer: jax.Array) -> jax.Array:
      error_BT = jnp.square(answer - batch.targets).sum(axis=-1)
      return (weight_BT * error_BT).sum()

    error = squared(y)
    return {
      'loss': Metric(error, weight_BT.sum()),
      'to_persistence': Metric(error, squared(batch.inputs)),
    }


def sines(key: RowKey, count: int) -> jax.Array:
  """`(count,)` values of a sum of sines."""
  of_periods, of_phases = jax.random.split(key)
  low, high = math.log(5), math.log(50)
  period_S = jnp.exp(
    jax.random.uniform(of_periods, (SINES,), jnp.float32, low, high)
  )
  phase_S = jax.random.uniform(of_phases, (SINES,), maxval=2 * math.pi)
  time_1T = jnp.arange(count, dtype=jnp.float32)[None]
  turns_ST = time_1T / period_S[:, None]
  angle_ST = 2 * math.pi * turns_ST + phase_S[:, None]
  return math.sqrt(2 / SINES) * jnp.sin(angle_ST).sum(axis=0)


def mackey_glass(key: RowKey, count: int) -> jax.Array:
  """`(count,)` values of the equation of Mackey and Glass."""
  start = jax.random.uniform(key, (), jnp.float32, 0.5, 1.5)
  past_D = jnp.full((DELAY * PER_UNIT,), start)
  first = start, past_D, jnp.array(0)
  _, x_T = jax.lax.scan(_one_unit, first, length=SETTLING + count)
  return x_T[SETTLING:]


def _one_unit(
  state: tuple[jax.Array, jax.Array, jax.Array], _: None
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], jax.Array]:
  """One unit of time; the past is a ring that `at` goes around."""

  def step(_: jax.Array, state: tuple) -> tuple:
    x, past_D, at = state
    late = past_D[at]
    change = 0.2 * late / (1 + late**10) - 0.1 * x
    return x + change / PER_UNIT, past_D.at[at].set(x), (at + 1) % len(past_D)

  state = jax.lax.fori_loop(0, PER_UNIT, step, state)
  return state, state[0]
