"""The carries that linear probes read, and the scores of probes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import ridge
from memjax.analysis.reading import read_batches
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params, Spec


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
  spread_B = jnp.asarray(spread.round(), jnp.int32)

  def states(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
    at_B = jnp.where(batch.reset_BT[:, 0], spread_B, task.length - 1)
    probed_BL = at_B[:, None] - lags[None]
    probed = jax.vmap(lambda x, at: x[at])(batch.inputs, probed_BL)
    # Each row is rolled to the right until it ends where it is probed. The
    # steps that come round to its front are forgotten at the row's reset.
    roll = jax.vmap(lambda x, by: jnp.roll(x, by, axis=0))
    inputs, reset_BT = (
      roll(x, task.length - 1 - at_B) for x in (batch.inputs, batch.reset_BT)
    )
    carry, _ = apply(model, params, carry, inputs, reset_BT)
    leaves = jax.tree.leaves(carry)
    return carry, ([x.reshape(batch_size, -1) for x in leaves], probed)

  found = read_batches(model, params_N, task, states, batch_size, batches, seed)
  leaves, inputs = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *found)
  return leaves, inputs[0]  # all replicas read the same rows


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
