"""Rows of a task over several steps, and labels with the inputs behind them.

The row of a text continues in the next step, so some inputs behind a
label are in earlier steps. An episode begins and ends in its row.
"""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.tasks.base import Stream, Task
from memjax.types import Batch, HostBatch

NUMBER = 1 << 30  # of the instruments' stream: no training or evaluation set


def steps(task: Task, batch_size: int, first: int, count: int) -> range:
  """`count` steps from `first` on, or fewer if the epoch ends before."""
  last = task.epoch_steps(batch_size)
  return range(first, min(first + count, last) if last else first + count)


def feeds(
  task: Task, stream: Stream, last: int, segments: int
) -> tuple[HostBatch, ...]:
  """The host half of the `segments` steps that end with step `last`."""
  rows = np.arange(stream.batch_size)
  first = last - segments + 1
  return tuple(task.rows(stream, s, rows) for s in range(first, last + 1))


def join(task: Task, feeds: tuple[HostBatch, ...]) -> Batch:
  """The device half: one batch whose rows span all the steps."""
  batches = [task.batch(feed) for feed in feeds]
  return jax.tree.map(lambda *xs: jnp.concatenate(xs, axis=1), *batches)


def draw(
  joined: Batch, length: int, window: int, labels: int, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draws P labels of the last step without replacement.

  Args:
    joined: rows over some steps.
    length: T of a step.
    window: the number of inputs that a label must have behind it, its own
      included, with no reset in between.
    labels: P. If there are fewer labels, the rest of the P are not drawn.
    key: of the draw.

  Returns:
    `(P,)` each: whether the label was drawn, its row and its position.
  """
  total = joined.reset_BT.shape[1]
  place_BT = jnp.broadcast_to(jnp.arange(total), joined.reset_BT.shape)
  start_BT = jax.lax.cummax(jnp.where(joined.reset_BT, place_BT, 0), axis=1)
  whole_BT = place_BT - start_BT + 1 >= window
  whole_BT = ((joined.loss_weights_BT > 0) & whole_BT)[:, -length:]
  lot_BT = jnp.where(whole_BT, jax.random.uniform(key, whole_BT.shape), -1.0)
  lot_P, index_P = jax.lax.top_k(lot_BT.reshape(-1), labels)
  row_P, place_P = jnp.divmod(index_P, length)
  return lot_P >= 0, row_P, place_P + total - length


def label_losses(task: Task, y: jax.Array, batch: Batch) -> jax.Array:
  """`(B, T)`, the loss of each position alone; 0 where there is no label."""

  def one(y: jax.Array, batch: Batch) -> jax.Array:
    y, batch = jax.tree.map(lambda x: x[None, None], (y, batch))
    loss = task.measure(y, batch)['loss']
    labelled = loss.count > 0
    return jnp.where(labelled, loss.sum / jnp.where(labelled, loss.count, 1), 0)

  return jax.vmap(jax.vmap(one))(y, batch)
