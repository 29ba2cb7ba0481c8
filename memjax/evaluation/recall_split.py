"""The loss on what a text repeats, apart from the loss on what is new in it.

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927: most of the
loss by which attention beats models without it lies at tokens that end a bigram
which the text has had before ("AR hits").
A label is seen if the n-gram that it ends stood in the same stream before,
since the last reset; else it is new. With carry_over a stream is all that a row
reads from step to step, else the row of a single step.
Deviations: the paper counts bigrams only, and leaves out those that the
training text often has, since a model knows them without recall.
"""

import dataclasses
from typing import NamedTuple

import jax
from jax.sharding import Mesh
import numpy as np

from memjax.errors import require
from memjax.evaluation.base import (
  Evaluation,
  KnownMeasure,
  Measure,
  Measured,
  Training,
)
from memjax.evaluation.documents import totals_by_group
from memjax.evaluation.totals import metric_names
from memjax.tasks.base import Stream, Task
from memjax.training.metrics import metric_values
from memjax.training.step import evaluate_batch
from memjax.types import Batch, Carry, HostBatch, Metric, Params, Sums

GROUPS = ('new', 'seen')


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecallSplit(Evaluation):
  """The task's metrics, apart for labels that end a repeated n-gram.

  Figures: the task's metrics; each again with `_seen` and `_new`; and
  `seen_share`, the share of labels that are seen.

  Attributes:
    ngram: n, number of tokens of an n-gram, its label included.
  """

  ngram: int = 2

  def __post_init__(self) -> None:
    super().__post_init__()
    require(self.ngram >= 2, 'ngram', self.ngram, 'must be at least 2')
    name = f'{type(self.task).__module__}.{type(self.task).__name__}'
    rule = 'needs a task that reads tokens and measures every position, as text'
    fits = self.task.measures_positions and self.task.input_spec.classes > 0
    require(fits, 'task.name', name, rule)

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    stream = self.stream(training.seed)
    seen = seen_labels(self.task, stream, self.number_of_steps, self.ngram)
    source = _WithSeen(self.task, seen)
    totals_of = totals_by_group(source, len(GROUPS), self, training, mesh)

    def read_batch(
      params: Params, carry: Carry, batch: Batch
    ) -> tuple[Carry, Sums]:
      dtype = training.train.dtype
      return evaluate_batch(self.model, self.task, dtype, params, carry, batch)

    def measure(params: Params) -> Measured:
      totals = totals_of(params)
      return Measured(metric_values(totals._replace(metrics=split(totals))))

    def names() -> set[str]:
      known = metric_names(read_batch, self, training)
      apart = {f'{name}_{group}' for name in known for group in GROUPS}
      return known | apart | {'seen_share'}

    return KnownMeasure(measure, names)


class _WithSeen(NamedTuple):
  """The rows of a task, each label with its group.

  Attributes:
    task: makes the rows.
    seen_SBT: which labels are seen, by step of the evaluation.
  """

  task: Task
  seen_SBT: np.ndarray

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    group_RT = self.seen_SBT[step][row_ids].astype(np.int32)
    return self.task.rows(stream, step, row_ids), group_RT


def split(totals: Sums) -> dict[str, Metric]:
  """Metrics of all labels and of each group, from sums `(N, groups)`."""
  metrics: dict[str, Metric] = {}
  for name, by_group in totals.metrics.items():
    metrics[name] = jax.tree.map(lambda x: x.sum(-1), by_group)
    for i, group in enumerate(GROUPS):
      metrics[f'{name}_{group}'] = jax.tree.map(
        lambda x, i=i: x[..., i], by_group
      )
  count = totals.metrics['loss'].count
  share = Metric(count[..., GROUPS.index('seen')], count.sum(-1))
  return metrics | {'seen_share': share}


def seen_labels(
  task: Task, stream: Stream, steps: int, ngram: int
) -> np.ndarray:
  """`(S, B, T)` bool, which labels end an n-gram that stood there before."""
  row_ids = np.arange(stream.batch_size)
  read = [
    jax.device_get(task.batch(task.rows(stream, step, row_ids)))
    for step in range(steps)
  ]
  inputs_BN, targets_BN, reset_BN = (
    np.concatenate([np.asarray(x) for x in parts], axis=1)
    for parts in (
      [batch.inputs for batch in read],
      [batch.targets for batch in read],
      [batch.reset_BT for batch in read],
    )
  )
  rows = zip(inputs_BN, targets_BN, reset_BN, strict=True)
  seen_BN = np.stack([repeated(*row, ngram) for row in rows])
  return np.stack(np.split(seen_BN, steps, axis=1))


def repeated(
  inputs_N: np.ndarray, targets_N: np.ndarray, reset_N: np.ndarray, ngram: int
) -> np.ndarray:
  """`(N,)` bool, whether the n-gram that ends in a label stood before."""
  run_N, place_N = np.cumsum(reset_N), np.arange(len(inputs_N))
  start_N = np.maximum.accumulate(np.where(reset_N, place_N, 0))
  key_N = run_N
  for back in range(ngram - 2, -1, -1):
    key_N = _rank(key_N, np.roll(inputs_N, back))
  key_N = _rank(key_N, targets_N)
  whole_N = place_N - start_N >= ngram - 2  # the n-gram lies in one run
  key_N = np.where(whole_N, key_N, key_N.max() + 1 + place_N)
  _, first_N, index_N = np.unique(key_N, return_index=True, return_inverse=True)
  return first_N[index_N] < place_N


def _rank(key_N: np.ndarray, token_N: np.ndarray) -> np.ndarray:
  """A number for each different pair of a key and a token, below N."""
  pair_N = key_N.astype(np.int64) * (int(token_N.max()) + 1) + token_N
  return np.unique(pair_N, return_inverse=True)[1]
