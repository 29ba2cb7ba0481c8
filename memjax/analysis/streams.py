"""Rows of a task over several steps, and labels with what they look back on.

A text's row goes on in the next step's row, so what a label can look back on
lies in earlier steps too. An episode begins and ends in its row.
"""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.score_by_distance import NUMBER
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, HostBatch


def goes_on(task: Task, batch_size: int) -> bool:
  """Whether some row of a step continues that of the step before."""
  feed = task.rows(Stream(0, NUMBER, batch_size), 1, np.arange(batch_size))
  return not bool(jax.jit(task.batch)(feed).reset_BT[:, 0].all())


def steps(task: Task, batch_size: int, first: int, count: int) -> range:
  """So many steps from the first on, or as many as the epoch has left."""
  last = task.epoch_steps(batch_size)
  return range(first, min(first + count, last) if last else first + count)


def feeds(
  task: Task, stream: Stream, last: int, segments: int
) -> tuple[HostBatch, ...]:
  """The host half of so many steps, of which this is the last."""
  rows = np.arange(stream.batch_size)
  first = last - segments + 1
  return tuple(task.rows(stream, s, rows) for s in range(first, last + 1))


def lane(task: Task, feeds: tuple[HostBatch, ...]) -> Batch:
  """The device half: one batch whose rows are as long as all the steps'."""
  batches = [task.batch(feed) for feed in feeds]
  return jax.tree.map(lambda *xs: jnp.concatenate(xs, axis=1), *batches)


def draw(
  lane: Batch, length: int, window: int, labels: int, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Labels drawn without replacement: which there are, row, place.

  Args:
    lane: rows over some steps; labels are those of the last step.
    length: T of a step.
    window: the inputs that a label must have behind it, its own among them,
      with no reset in between.
    labels: P; where there are fewer, the rest are none.
    key: of the drawing.
  """
  total = lane.reset_BT.shape[1]
  place_BT = jnp.broadcast_to(jnp.arange(total), lane.reset_BT.shape)
  began_BT = jax.lax.cummax(jnp.where(lane.reset_BT, place_BT, 0), axis=1)
  whole_BT = (lane.loss_weights_BT > 0) & (place_BT - began_BT + 1 >= window)
  whole_BT = whole_BT[:, -length:]
  lot_BT = jnp.where(whole_BT, jax.random.uniform(key, whole_BT.shape), -1.0)
  lot_P, index_P = jax.lax.top_k(lot_BT.reshape(-1), labels)
  row_P, place_P = jnp.divmod(index_P, length)
  return lot_P >= 0, row_P, place_P + total - length


def label_losses(task: Task, y: jax.Array, batch: Batch) -> jax.Array:
  """`(B, T)`, the loss of every step alone; 0 where there is no label."""

  def one(y: jax.Array, batch: Batch) -> jax.Array:
    y, batch = jax.tree.map(lambda x: x[None, None], (y, batch))
    loss = task.measure(y, batch)['loss']
    labelled = loss.count > 0
    return jnp.where(labelled, loss.sum / jnp.where(labelled, loss.count, 1), 0)

  return jax.vmap(jax.vmap(one))(y, batch)
