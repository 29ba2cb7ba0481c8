"""The carries that linear probes read, and the scores of probes."""

import jax
import numpy as np

from memjax.analysis import ridge
from memjax.analysis.programs import forward, initial_carry, replicas_of
from memjax.analysis.streams import NUMBER, batch_at
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Params, Spec


def collect_states(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: np.ndarray,
  batch_size: int,
  batches: int,
  seed: int,
) -> tuple[list[np.ndarray], np.ndarray]:
  """The carry's leaves, `(N, S, X)`, and the inputs by lag, `(S, L, ...)`."""
  spread = np.linspace(lags[-1], task.length - 1, batch_size)
  spread_B = spread.round().astype(int)
  row_B1 = np.arange(batch_size)[:, None]
  stream = Stream(seed, NUMBER, batch_size)
  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  states, probed = [], []
  for step in range(batches):
    batch = batch_at(task, stream, step)
    at_B = np.where(batch.reset_BT[:, 0], spread_B, task.length - 1)
    probed.append(batch.inputs[row_B1, at_B[:, None] - lags])
    # Each row is rolled to the right until it ends where it is probed. The
    # steps that come round to its front are forgotten at the row's reset.
    rolled_BT = (np.arange(task.length) + at_B[:, None] + 1) % task.length
    inputs, reset_BT = (
      x[row_B1, rolled_BT] for x in (batch.inputs, batch.reset_BT)
    )
    carry_N, _ = forward(model, params_N, carry_N, inputs, reset_BT)
    leaves = jax.device_get(jax.tree.leaves(carry_N))
    states.append([x.reshape(*x.shape[:2], -1) for x in leaves])
  joined = [np.concatenate(x, axis=1) for x in zip(*states, strict=True)]
  return joined, np.concatenate(probed)


def scores(
  spec: Spec, predicted_SLO: np.ndarray, target_SLO: np.ndarray
) -> np.ndarray:
  """`(L,)` accuracies, or shares of the variance explained."""
  right_SLO = target_SLO[-len(predicted_SLO) :]
  if spec.classes:
    return (predicted_SLO.argmax(2) == right_SLO.argmax(2)).mean(0)
  error_L, variance_L = (
    np.square(predicted - right_SLO).sum((0, 2))
    for predicted in (predicted_SLO, ridge.predict_mean(target_SLO))
  )
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(variance_L > 0, 1 - error_L / variance_L, np.nan)
