"""Figures of each document of a text, beside those of the whole.

The rows are those of the whole set. Each label's metrics are added to the sums
of its document, so the documents' sums add up to the sums of the set. Labels
can be put into other groups in the same way.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.sharding import Mesh
import numpy as np

from memjax.evaluation.base import (
  DocumentMetrics,
  Evaluation,
  Measure,
  Measured,
  Training,
)
from memjax.evaluation.totals import totals_with
from memjax.models.base import apply_body
from memjax.tasks.base import Stream, Task, invalid_ids
from memjax.training.metrics import metric_values
from memjax.training.prefetch import RowSource
from memjax.training.readout import lost_labels, measure_positions
from memjax.training.step import cast
from memjax.types import Carry, HostBatch, Params, Sums


class _WithDocuments(NamedTuple):
  """The rows of a task, each label with the number of its document."""

  task: Task

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    document_RT = self.task.label_documents(stream, step, row_ids)
    return self.task.rows(stream, step, row_ids), document_RT.astype(np.int32)


def measure_documents(
  evaluation: Evaluation, training: Training, mesh: Mesh
) -> Measure:
  """A function from parameters to the figures of the set and its documents.

  Args:
    evaluation: the set; its task has documents.
    training: the run's experiment.
    mesh: where the arrays lie.
  """
  task = evaluation.task
  names, source = task.documents, _WithDocuments(task)
  totals_of = totals_by_group(source, len(names), evaluation, training, mesh)

  def measure(params: Params) -> Measured:
    totals = totals_of(params)
    whole = jax.tree.map(lambda x: x.sum(-1), totals.metrics)
    figures = metric_values(totals._replace(metrics=whole))
    read = np.flatnonzero(totals.metrics['loss'].count[0])
    documents = tuple(
      DocumentMetrics(
        number,
        names[number],
        jax.tree.map(lambda x, number=number: x[:, number], totals.metrics),
      )
      for number in read.tolist()
    )
    return Measured(figures, documents)

  return measure


def totals_by_group(
  source: RowSource,
  groups: int,
  evaluation: Evaluation,
  training: Training,
  mesh: Mesh,
) -> Callable[[Params], Sums]:
  """A function from parameters to the sums of each group, `(N, groups)`.

  Args:
    source: makes the task's rows, and `(R, T)` int32, the group of each label.
    groups: their number.
    evaluation: the set; its task measures positions.
    training: the run's experiment.
    mesh: where the arrays lie.
  """
  task, model = evaluation.task, evaluation.model
  dtype = training.train.dtype

  def read_rows(
    params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Sums]:
    rows, group_BT = host_batch
    batch = task.batch(rows)
    invalid = invalid_ids(task, batch), lost_labels(task, batch)
    params, batch = cast(params, batch, dtype)
    carry, h_BTD = apply_body(
      model, params, carry, batch.inputs, batch.reset_BT
    )
    by_label = measure_positions(model, task, params, h_BTD, batch)
    by_group = jax.tree.map(
      lambda x_BT: jax.ops.segment_sum(x_BT.ravel(), group_BT.ravel(), groups),
      by_label,
    )
    return carry, Sums(by_group, *invalid)

  return totals_with(read_rows, source, evaluation, training, mesh)
