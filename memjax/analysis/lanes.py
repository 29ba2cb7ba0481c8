"""Rows of a task over several steps, side by side in time.

A text's row goes on in the next step's row, so what a label can look back on
lies in earlier steps too. An episode begins and ends in its row.
"""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.curves import NUMBER
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Feed


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
) -> tuple[Feed, ...]:
  """The host half of so many steps, of which this is the last."""
  rows = np.arange(stream.batch_size)
  first = last - segments + 1
  return tuple(task.rows(stream, s, rows) for s in range(first, last + 1))


def lane(task: Task, feeds: tuple[Feed, ...]) -> Batch:
  """The device half: one batch whose rows are as long as all the steps'."""
  batches = [task.batch(feed) for feed in feeds]
  return jax.tree.map(lambda *xs: jnp.concatenate(xs, axis=1), *batches)
