"""Figures of each document of a text, beside those of the whole.

The rows are those of the whole set. Each label's metrics are added to the sums
of its document, so the documents' sums add up to the sums of the set.
"""

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
  task, model = evaluation.task, evaluation.model
  names, dtype = task.documents, training.train.dtype

  def read_rows(
    params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Sums]:
    rows, document_BT = host_batch
    batch = task.batch(rows)
    invalid = invalid_ids(task, batch), lost_labels(task, batch)
    params, batch = cast(params, batch, dtype)
    carry, h_BTD = apply_body(
      model, params, carry, batch.inputs, batch.reset_BT
    )
    by_label = measure_positions(model, task, params, h_BTD, batch)
    by_document = jax.tree.map(
      lambda x_BT: jax.ops.segment_sum(
        x_BT.ravel(), document_BT.ravel(), len(names)
      ),
      by_label,
    )
    return carry, Sums(by_document, *invalid)

  source = _WithDocuments(task)
  totals_of = totals_with(read_rows, source, evaluation, training, mesh)

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
