"""The contract of every task: batches as pure functions of (stream, step, row).

A task has a host half, `rows`, and a device half, `batch`. The host half of a
generated task is four integers a row; that of a corpus is the tokens
themselves. Both are functions of the step alone, so nothing about data is ever
saved, and a resumed run, another device count or another process sees the same
batches.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memjax.data.tokenizers import Tokenizer
from memjax.errors import require
from memjax.types import (
  Batch,
  Example,
  HostBatch,
  Metric,
  Metrics,
  RowKey,
  Spec,
)


class Stream(NamedTuple):
  """Which endless sequence of batches: training is number 0, every evaluation
  set another; `batch_size` rows a step."""

  seed: int
  number: int
  batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
  """What a model reads, what it should say, and how that is measured.

  Attributes:
    score_axis: what the batches' `score_axis_BT` counts: 'label_distance', the
      steps back from a label to the input it depends on, the farthest;
      'sequence_length', of the row's sequence; empty: nothing.
  """

  score_axis: ClassVar[str] = ''

  @property
  def input_spec(self) -> Spec:
    """What the model reads."""
    raise NotImplementedError(f'{type(self).__name__}.input_spec')

  @property
  def output_spec(self) -> Spec:
    """What the model returns: `Tokens(V)` logits or `Features(F)` values."""
    raise NotImplementedError(f'{type(self).__name__}.output_spec')

  @property
  def length(self) -> int:
    """T, the steps of every row of a batch."""
    raise NotImplementedError(f'{type(self).__name__}.length')

  @property
  def carry(self) -> str:
    """'flows' from a row to the same row of the next step, or 'fresh'."""
    return 'fresh'

  @property
  def row_stride(self) -> int:
    """Steps between the starts of two rows of a sequence; T: no overlap."""
    return self.length

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """{metric: {name of a reference: its value}}, with sources in the docs."""
    return {}

  @property
  def tokenizer(self) -> Tokenizer | None:
    """Between text and the task's tokens; None where there is no text."""
    return None

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    """Host half: what `batch` needs for these rows of this step.

    Args:
      stream: the sequence of batches.
      step: its step, from 0 without end.
      row_ids: `(R,)` integers in [0, stream.batch_size).

    Returns:
      A pytree of numpy arrays, each `(R, ...)`.
    """
    raise NotImplementedError(f'{type(self).__name__}.rows')

  def batch(self, feed: HostBatch) -> Batch:
    """Device half: pure and jittable."""
    raise NotImplementedError(f'{type(self).__name__}.batch')

  def epoch_steps(self, batch_size: int) -> int:
    """Steps in which every label is seen exactly once; 0 if data is endless."""
    del batch_size
    return 0

  def fingerprint(self) -> str:
    """Identifies the data the task reads; empty where it makes its own."""
    return ''

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    """Sums and counts by name; training minimises 'loss'.

    The default is for classes: cross-entropy in nats and accuracy over the
    weighted positions.
    """
    return classification(y, batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
  """A task that draws each row, an episode of its own, from a key."""

  def example(self, key: RowKey) -> Example:
    """ONE row: pure, jittable, of static shape."""
    raise NotImplementedError(f'{type(self).__name__}.example')

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    rows = np.empty((len(row_ids), 4), np.uint32)
    rows[:, 0], rows[:, 1], rows[:, 2] = stream.seed, stream.number, step
    rows[:, 3] = row_ids
    return rows

  def batch(self, feed: HostBatch) -> Batch:
    def row(ids: jax.Array) -> Example:
      key = jax.random.key(ids[0])
      for i in range(1, 4):
        key = jax.random.fold_in(key, ids[i])
      return self.example(key)

    rows = jax.vmap(row)(feed)
    reset_BT = jnp.zeros(rows.loss_weights_T.shape, bool).at[:, 0].set(True)
    return Batch(*rows[:3], reset_BT, rows.score_axis_T)


def classification(logits_BTV: jax.Array, batch: Batch) -> Metrics:
  """Cross-entropy in nats and accuracy over the weighted positions."""
  loss_weights_BT = batch.loss_weights_BT
  nats_BT = optax.softmax_cross_entropy_with_integer_labels(
    logits_BTV.astype(jnp.float32), batch.targets
  )
  right_BT = jnp.argmax(logits_BTV, axis=-1) == batch.targets
  count = loss_weights_BT.sum()
  return {
    'loss': Metric((nats_BT * loss_weights_BT).sum(), count),
    'accuracy': Metric(jnp.where(right_BT, loss_weights_BT, 0.0).sum(), count),
  }


def exact_match(logits_BTV: jax.Array, batch: Batch) -> Metric:
  """The share of rows with every label right, among those that have labels.

  If a row is read in segments, each segment counts as a row.
  """
  asked_BT = batch.loss_weights_BT > 0
  wrong_BT = asked_BT & (jnp.argmax(logits_BTV, -1) != batch.targets)
  rows_B = asked_BT.any(axis=1)
  right = (rows_B & ~wrong_BT.any(axis=1)).sum(dtype=jnp.float32)
  return Metric(right, rows_B.sum(dtype=jnp.float32))


def invalid_ids(task: Task, batch: Batch) -> jax.Array:
  """float32, number of ids of the batch outside the task's vocabularies."""
  inputs = task.input_spec.outside(batch.inputs)
  return inputs + task.output_spec.outside(batch.targets)


def positive(task: object, *fields: str) -> None:
  """Requires each named field to be at least 1."""
  for field in fields:
    value = getattr(task, field)
    require(value >= 1, field, value, 'must be at least 1')
