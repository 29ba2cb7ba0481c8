"""Labels and the inputs behind them, for contexts of several lengths."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from memjax.analysis import streams
from memjax.errors import require
from memjax.tasks.base import Stream, Task
from memjax.types import Batch

LABEL_DISTANCE = 'label_distance'  # a task's score axis
SAMPLE = 16  # batches that show where labels are
ENOUGH = 1 / 16  # share of rows with a label that has the longest context


class Windows(NamedTuple):
  """P labels and the inputs behind them.

  Attributes:
    inputs: `(P, W, ...)`; the last step is the label's. Where a label has fewer
      inputs than W, those at the front mean nothing.
    label: what belongs to the last step, `(P, ...)`.
    places: `(P, 3)` int, of each label the step, the row and the position.
  """

  inputs: np.ndarray
  label: Batch
  places: np.ndarray

  def chunks(self, size: int) -> Iterator[tuple['Windows', int]]:
    """Parts of `size` windows, and how many of them count.

    The last part is filled with its last window, so one program serves all.
    """
    for index, count in streams.chunks(len(self.inputs), size):
      yield jax.tree.map(lambda x, at=index: x[at], self), count


def collect_windows(
  task: Task,
  longest: int,
  batch_size: int,
  batches: int,
  seed: int,
  labels: int,
) -> Windows:
  """Windows of labels that have at least the longest context behind them.

  Args:
    task: any; the windows of a text cross its segment boundaries.
    longest: the context, in inputs; W is the next multiple of the task's
      length.
    batch_size: rows of a batch, streams of a text.
    batches: number of batches, at most; an epoch may have fewer.
    seed: of the rows and of the labels.
    labels: labels drawn from a batch, at most.

  Raises:
    ConfigError: no label has the longest context.
  """
  segments = 1
  if task.carry_over:
    segments += -(-(longest - 1) // task.length)
  back_W = np.arange(-(-longest // task.length) * task.length)[::-1]
  stream, before = Stream(seed, streams.NUMBER, batch_size), segments - 1
  parts = []
  for step in streams.steps(task, batch_size, before, batches):
    batch = streams.joined(task, stream, step, segments)
    drawn = streams.draw(batch, task.length, longest, labels, (seed, step))
    row_P, place_P = drawn
    inputs = batch.inputs[row_P[:, None], place_P[:, None] - back_W]
    label = jax.tree.map(lambda x, at=drawn: x[tuple(at)], batch)
    step_P = np.full_like(row_P, step)
    own_P = place_P - before * task.length
    parts.append(Windows(inputs, label, np.stack([step_P, row_P, own_P], 1)))
  rule = 'no label has this number of inputs behind it'
  require(any(len(x.inputs) for x in parts), 'contexts', longest, rule)
  return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


def contexts(task: Task, batch_size: int = 32) -> np.ndarray:
  """1, 2, 4, ... and the longest, which reaches the farthest inputs.

  For a text, the longest is twice the length of a segment. For an episode it is
  the largest number of inputs that one row of 16 has behind a label, and at
  least what the largest label distance needs.
  """
  if task.carry_over:
    last = task.epoch_steps(batch_size)
    longest = (min(2, last - 1) if last else 2) * task.length
  else:
    longest = _longest(task, batch_size)
  return np.union1d(2 ** np.arange(longest.bit_length()), longest)


def _longest(task: Task, batch_size: int) -> int:
  stream, farthest, last = Stream(0, streams.NUMBER, batch_size), 0, []
  for step in range(SAMPLE):
    batch = streams.batch_at(task, stream, step)
    labelled_BT = batch.loss_weights_BT > 0
    rows = labelled_BT[labelled_BT.any(1)]
    last += (rows.shape[1] - rows[:, ::-1].argmax(1)).tolist()
    if task.score_axis == LABEL_DISTANCE:
      farthest = max(farthest, int(batch.score_axis_BT[labelled_BT].max()))
  have = np.quantile(last, 1 - ENOUGH, method='lower')
  return max(int(have), farthest + 1)
