"""The contract of every task: batches as pure functions of (stream, step, row).

A task has a host half, `rows`, and a device half, `batch`. The host half of a
generated task is four integers per row. The host half of a corpus is the tokens
themselves. Both depend on the step alone, so the state of the data is never
saved: a resumed run, another device count and another process see the same
batches.
"""

import abc
from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memjax.data.tokenizers import Tokenizer
from memjax.errors import require
from memjax.tasks.stages import draw_examples, parse_parts
from memjax.types import (
  Batch,
  Example,
  HostBatch,
  Metric,
  Metrics,
  RowKey,
  Spec,
  Tokens,
)

TRAINING = 0  # the number of the stream that trains


class Stream(NamedTuple):
  """An endless sequence of batches of `batch_size` rows.

  Every evaluation set has a `number` of its own, other than TRAINING.
  """

  seed: int
  number: int
  batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
  """What a model reads, what it should answer, and how that is measured.

  Constructing a task checks its fields and does nothing else. `prepare` reads
  its data.

  Attributes:
    score_axis: meaning of the batches' `score_axis_BT`: 'label_distance', the
      number of steps from a label back to the farthest input it depends on;
      'sequence_length', the length of the row's sequence; empty: no axis.
    measures_positions: whether every metric is a sum over positions, so that
      a batch may be measured in chunks of time that are added up.
    measures_classes: whether `measure` is `measure_classes` of the nats and
      hits of the outputs.
  """

  score_axis: ClassVar[str] = ''
  measures_positions: ClassVar[bool] = False
  measures_classes: ClassVar[bool] = False

  def prepare(self) -> None:  # noqa: B027
    """Reads and checks the data, once for all tasks that read the same.

    The config reader calls it; a second call costs nothing.

    Raises:
      ConfigError: the data are missing, damaged or do not fit the fields.
    """

  def __getstate__(self) -> dict[str, Any]:
    """The fields alone: an open corpus stays in its process."""
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

  @property
  @abc.abstractmethod
  def input_spec(self) -> Spec:
    """What the model reads."""

  @property
  @abc.abstractmethod
  def output_spec(self) -> Spec:
    """What the model returns: `Tokens(V)` logits or `Features(F)` values."""

  @property
  @abc.abstractmethod
  def length(self) -> int:
    """T, the number of steps of every row of a batch."""

  @property
  def carry_over(self) -> bool:
    """Whether row b of a step continues row b of the step before."""
    return False

  @property
  def labels(self) -> int:
    """The most labels that a row has; 0: unknown, or up to every position.

    The training step reads out the model at this many positions per row.
    """
    return 0

  @property
  def labels_are_inputs(self) -> bool:
    """Whether a label may be among later inputs, as the next token of a text.

    A model that is not causal would read it there, and is refused.
    """
    return True

  @property
  def label_delay(self) -> int:
    """The number of steps by which every label comes late.

    The model must have the same, as `models/composed/lookahead.py` has.
    """
    return 0

  @property
  def runs(self) -> int:
    """The most runs of a row: each begins with a reset."""
    return 1

  @property
  def longest_source(self) -> int:
    """The most steps before a separator; 0: unknown, or there is none."""
    return 0

  @property
  def row_stride(self) -> int:
    """Steps between the starts of two rows of a sequence; T: no overlap."""
    return self.length

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """{metric: {name of a reference: its value}}, with sources in the docs."""
    return {}

  @property
  def text_tokenizer(self) -> Tokenizer | None:
    """Between text and the task's tokens; None if the task has no text."""
    return None

  def with_tokenizer(self, tokenizer: Tokenizer | None) -> 'Task':
    """The same task, its text encoded with a trained model's tokenizer.

    The config reader calls it for every evaluation set, before `prepare`, with
    the tokenizer of the training task or of the workdir. So no figure can come
    from a tokenizer that the model was not trained with.

    Args:
      tokenizer: None if the model was not trained on text.

    Raises:
      ConfigError: the task has text that only another tokenizer encodes.
    """
    own = self.text_tokenizer
    rule = 'has text of another tokenizer than the trained model'
    same = own is None or own == tokenizer
    require(same, 'name', type(self).__name__, rule)
    return self

  def describe(self) -> list[str]:
    """Lines about the data, printed before training: what is read from where.

    Training and every evaluation set print theirs. The default is no line.
    """
    return []

  def data_faults(self) -> list[str]:
    """What has changed in the files of the data, a line each; reads them."""
    return []

  @abc.abstractmethod
  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    """Host half: what `batch` needs for these rows of this step.

    Args:
      stream: the sequence of batches.
      step: its step, from 0 without end.
      row_ids: `(R,)` integers in [0, stream.batch_size).

    Returns:
      A pytree of numpy arrays, each `(R, ...)`.
    """

  @abc.abstractmethod
  def batch(self, host_batch: HostBatch) -> Batch:
    """Device half: pure and jittable."""

  def epoch_steps(self, batch_size: int) -> int:
    """Steps in which every label is seen exactly once; 0 if data is endless."""
    del batch_size
    return 0

  @property
  def documents(self) -> Sequence[str]:
    """Names of the documents of a text, in order; empty if it is no text."""
    return ()

  def label_documents(
    self, stream: Stream, step: int, row_ids: np.ndarray
  ) -> np.ndarray:
    """`(R, T)` index in `documents` of each label that `rows` gives.

    Only a task that has documents is asked. At positions without a label the
    number is any index.
    """
    raise NotImplementedError(type(self).__name__)

  def fingerprint(self) -> str:
    """Identifies the data that the task reads; empty for generated data."""
    return ''

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    """Metrics by name, as sums and counts; training minimises 'loss'.

    `y` and the batch hold all T positions of a row, or only some of them, such
    as those with labels. So a measure may add up positions of a row, and must
    not use their place or their neighbours.

    The default is for classes: cross-entropy in nats and accuracy over the
    weighted positions.
    """
    return classification(y, batch)

  def measure_classes(
    self, nats_BT: jax.Array, right_BT: jax.Array, batch: Batch
  ) -> Metrics:
    """As `measure`, of -log p of the targets and whether each is predicted."""
    return class_metrics(nats_BT, right_BT, batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
  """A task that draws each row, an independent episode, from a key.

  Attributes:
    curriculum: other sizes in training, by step: the step at which each begins
      and the fields that differ, as in '0 length=16; 2000 length=32; 5000'.
    mixture: other sizes in training, row by row: the share of each and the
      fields that differ, as in '5 length=64 pairs=4; 1 length=128 pairs=8'.
  """

  curriculum: str = ''
  mixture: str = ''

  def prepare(self) -> None:
    for field in ('curriculum', 'mixture'):
      parse_parts(self, field)

  @abc.abstractmethod
  def example(self, key: RowKey) -> Example:
    """ONE row: pure, jittable, of static shape."""

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    rows = np.empty((len(row_ids), 4), np.uint32)
    rows[:, 0], rows[:, 1], rows[:, 2] = stream.seed, stream.number, step
    rows[:, 3] = row_ids
    return rows

  def batch(self, host_batch: HostBatch) -> Batch:
    rows = draw_examples(self, host_batch, TRAINING)
    reset_BT = jnp.zeros(rows.loss_weights_T.shape, bool).at[:, 0].set(True)
    return Batch(*rows[:3], reset_BT, *rows[3:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenTask(GeneratedTask):
  """A generated task that reads and answers tokens of one vocabulary."""

  @property
  @abc.abstractmethod
  def vocab(self) -> int:
    """V; most tasks have it as a field."""

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.vocab)

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}


def classification(logits_BTV: jax.Array, batch: Batch) -> Metrics:
  """Cross-entropy in nats and accuracy over the weighted positions."""
  return class_metrics(*class_scores(logits_BTV, batch.targets), batch)


def class_scores(
  logits_BTV: jax.Array, targets_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """-log p of the targets in nats, and whether each is predicted."""
  nats_BT = optax.softmax_cross_entropy_with_integer_labels(
    logits_BTV.astype(jnp.float32), targets_BT
  )
  return nats_BT, predicts(logits_BTV, targets_BT)


def class_metrics(
  nats_BT: jax.Array, right_BT: jax.Array, batch: Batch
) -> Metrics:
  """The sums of `classification`."""
  loss_weights_BT = batch.loss_weights_BT
  count = loss_weights_BT.sum()
  return {
    'loss': Metric((nats_BT * loss_weights_BT).sum(), count),
    'accuracy': Metric(jnp.where(right_BT, loss_weights_BT, 0.0).sum(), count),
  }


def predicts(logits_BTV: jax.Array, targets_BT: jax.Array) -> jax.Array:
  """`argmax(logits) == targets`: of equal logits the first one counts.

  On a CPU, comparisons with the target's logit are ten times as fast as a
  search for the place of the largest.
  """
  target_BT1 = targets_BT[..., None]
  logit_BT1 = jnp.take_along_axis(logits_BTV, target_BT1, axis=-1)
  axis = logits_BTV.ndim - 1
  class_BTV = jax.lax.broadcasted_iota(jnp.int32, logits_BTV.shape, axis)
  earlier_BTV = class_BTV < target_BT1
  below_BTV = jnp.where(
    earlier_BTV, logits_BTV < logit_BT1, logits_BTV <= logit_BT1
  )
  return below_BTV.all(axis=-1)


def exact_match(logits_BTV: jax.Array, batch: Batch) -> Metric:
  """The share of rows with every label right, among those that have labels.

  If a row is read in segments, each segment counts as a row.
  """
  labelled_BT = batch.loss_weights_BT > 0
  wrong_BT = labelled_BT & ~predicts(logits_BTV, batch.targets)
  rows_B = labelled_BT.any(axis=1)
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


def ordered(task: object, lowest: str, highest: str) -> None:
  """Requires 1 <= the one field <= the other."""
  positive(task, lowest)
  low, high = getattr(task, lowest), getattr(task, highest)
  require(high >= low, highest, high, f'must be at least {lowest}, {low}')
