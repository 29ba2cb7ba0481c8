"""How far back the gradient of a loss reaches, by what the memory holds.

Definition: with l_t the loss on a label at step t and C a leaf of the carry
that was handed over before step t - lag, the mean over labels of |dl_t / dC|,
by lag and leaf. The norm is Euclidean, over all that the leaf holds for the
label's row. Only labels count that no reset parts from the border. Half-life:
as in `gradients.py`, from the first lag that has a label.

Paper: as in `gradients.py`.
Units: loss, as the task has it (nats per label for classes), per unit of the
leaf; lags and half-lives in steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.input_gradients import half_life, norms
from memjax.analysis.segment_boundaries import borders, is_float, leaf_names
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params

Read = Callable[[Params, Carry, Batch], tuple[jax.Array, jax.Array]]


class CarryGradients(NamedTuple):
  """Norms of G lags and K leaves.

  Attributes:
    leaves: the names of the leaves.
    lags: `(G,)` int, those that have labels, rising.
    norm: `(N, K, G)` float64; no number for leaves that are no floats.
    half_life: `(N, K)`, in steps.
    labels: `(G,)`, how many each figure is a mean of.
  """

  leaves: tuple[str, ...]
  lags: np.ndarray
  norm: np.ndarray
  half_life: np.ndarray
  labels: np.ndarray


def carry_gradients(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: int = 32,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  cut: int = 0,
) -> CarryGradients:
  """One backward pass for each lag, of all rows at once.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: of a text, the carry is that between two segments.
    lags: the most; as many as steps follow the border.
    batch_size: rows.
    batches: how many borders, or all of the epoch if it has fewer.
    seed: of the rows.
    cut: of an episode, the step that the carry is handed over before; 0: the
      middle.

  Raises:
    ConfigError: the model has no carry, no label follows within the lags, or
      the cut is not within an episode.
  """
  require(lags >= 1, 'lags', lags, 'must be at least 1')
  names, read = leaf_names(model), _reader(model, task, lags)
  total, labels = np.zeros(()), np.zeros((), int)
  for carry_N, after in borders(
    model, params_N, task, cut, batch_size, batches, seed
  ):
    norm, there = jax.device_get(read(params_N, carry_N, after))
    total, labels = total + norm.astype(np.float64), labels + there
  lag = np.flatnonzero(labels)
  rule = 'no label follows a border within so many steps'
  require(lag.size > 0, 'lags', lags, rule)
  norm = total[..., lag] / labels[lag]
  return CarryGradients(names, lag, norm, half_life(norm, lag), labels[lag])


def _reader(model: Memory, task: Task, lags: int) -> Read:
  """Sums over rows of the norms, `(N, K, G)`, and labels, `(G,)`."""

  def by_lag(params: Params, carry: Carry, near: Batch) -> jax.Array:
    leaves, structure = jax.tree.flatten(carry)
    floats = {i: leaf for i, leaf in enumerate(leaves) if is_float(leaf)}

    def at(place: jax.Array) -> jax.Array:
      asked = jax.tree.map(lambda x: x[:, place][:, None], near)

      def loss(floats: dict[int, jax.Array]) -> jax.Array:
        held = [floats.get(i, leaf) for i, leaf in enumerate(leaves)]
        held = jax.tree.unflatten(structure, held)
        _, y = apply(model, params, held, near.inputs, near.reset_BT)
        said = y[:, place][:, None]
        return streams.label_losses(task, said, asked).sum()

      found = jax.tree.map(lambda g: norms(g).sum(), jax.grad(loss)(floats))
      return jnp.stack([found.get(i, jnp.nan) for i in range(len(leaves))])

    return jax.lax.map(at, jnp.arange(near.reset_BT.shape[1])).T

  @jax.jit
  def read(
    params_N: Params, carry_N: Carry, after: Batch
  ) -> tuple[jax.Array, jax.Array]:
    near = jax.tree.map(lambda x: x[:, :lags], after)
    held_BT = jnp.cumsum(near.reset_BT, axis=1) == 0
    loss_weights_BT = jnp.where(held_BT, near.loss_weights_BT, 0.0)
    near = near._replace(loss_weights_BT=loss_weights_BT)
    norm = jax.vmap(by_lag, (0, 0, None))(params_N, carry_N, near)
    return norm, (loss_weights_BT > 0).sum(0)

  return read
