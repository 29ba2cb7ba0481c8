"""Rows of a task over several steps, and labels with the inputs behind them.

The row of a text continues in the next step, so some inputs behind a
label are in earlier steps. An episode begins and ends in its row.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.programs import make_batch
from memjax.tasks.base import Stream, Task
from memjax.types import Batch

NUMBER = 1 << 30  # of the instruments' stream: no training or evaluation set


class Labels(NamedTuple):
  """P labels of a batch.

  Attributes:
    rows: `(P,)`, the row of each.
    places: `(P,)`, its position.
  """

  rows: np.ndarray
  places: np.ndarray


def chunks(count: int, size: int) -> Iterator[tuple[np.ndarray, int]]:
  """Indices of parts of `size` things, and how many of each part count.

  The last part is filled with its last index, so all have one shape.
  """
  for first in range(0, count, size):
    index = np.arange(first, first + size).clip(max=count - 1)
    yield index, min(size, count - first)


def steps(task: Task, batch_size: int, first: int, count: int) -> range:
  """`count` steps from `first` on, or fewer if the epoch ends before."""
  last = task.epoch_steps(batch_size)
  return range(first, min(first + count, last) if last else first + count)


def batch_at(task: Task, stream: Stream, step: int) -> Batch:
  """All rows of one step."""
  return make_batch(task, task.rows(stream, step, np.arange(stream.batch_size)))


def joined(task: Task, stream: Stream, last: int, segments: int) -> Batch:
  """One batch whose rows span the `segments` steps that end with `last`."""
  each = [
    batch_at(task, stream, step)
    for step in range(last - segments + 1, last + 1)
  ]
  return jax.tree.map(lambda *xs: np.concatenate(xs, axis=1), *each)


def draw(
  batch: Batch, length: int, window: int, labels: int, seed: tuple[int, int]
) -> Labels:
  """Draws labels of the last step without replacement.

  Args:
    batch: rows over some steps.
    length: T of a step.
    window: the number of inputs that a label must have behind it, its own
      included, with no reset in between.
    labels: the number of labels, at most; there may be fewer.
    seed: of the draw.
  """
  total = batch.reset_BT.shape[1]
  place_BT = np.broadcast_to(np.arange(total), batch.reset_BT.shape)
  start_BT = np.maximum.accumulate(
    np.where(batch.reset_BT, place_BT, 0), axis=1
  )
  whole_BT = place_BT - start_BT + 1 >= window
  whole_BT = (batch.loss_weights_BT > 0) & whole_BT
  whole_BT[:, : total - length] = False
  found = np.argwhere(whole_BT)
  chosen = np.random.default_rng(seed).permutation(len(found))[:labels]
  rows, places = found[chosen].T
  return Labels(rows, places)


def label_losses(task: Task, y: jax.Array, batch: Batch) -> jax.Array:
  """`(B, T)`, the loss of each position alone; 0 where there is no label."""

  def one(y: jax.Array, batch: Batch) -> jax.Array:
    y, batch = jax.tree.map(lambda x: x[None, None], (y, batch))
    loss = task.measure(y, batch)['loss']
    labelled = loss.count > 0
    return jnp.where(labelled, loss.sum / jnp.where(labelled, loss.count, 1), 0)

  return jax.vmap(jax.vmap(one))(y, batch)
