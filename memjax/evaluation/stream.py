"""The task's own metrics over a stream of batches, every label once."""

import dataclasses

from jax.sharding import Mesh

from memjax.errors import nearest, require
from memjax.evaluation.base import Evaluation, KnownMeasure, Measure, Training
from memjax.evaluation.documents import measure_documents
from memjax.evaluation.totals import measure_with, metric_names
from memjax.training.step import evaluate_batch
from memjax.types import Batch, Carry, Params, Sums

PER = ('set', 'document')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Evaluation):
  """The model reads what the task shows; the task measures its outputs.

  Figures: the task's metrics, each a sum over the set divided by a count.

  Attributes:
    per: 'set', or 'document': figures of each document of a text as well. The
      model reads the same stream: with carry_over its memory goes on from
      document to document, unless the task's reset_at_documents is set.
  """

  per: str = 'set'

  def __post_init__(self) -> None:
    super().__post_init__()
    require(
      self.per in PER, 'per', self.per, f'unknown; {nearest(self.per, PER)}'
    )
    rule = 'needs a task whose text has documents'
    has_documents = self.per == 'set' or bool(self.task.documents)
    require(has_documents, 'per', self.per, rule)

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    dtype = training.train.dtype

    def read_batch(
      params: Params, carry: Carry, batch: Batch
    ) -> tuple[Carry, Sums]:
      return evaluate_batch(self.model, self.task, dtype, params, carry, batch)

    if self.per == 'document':
      return KnownMeasure(
        measure_documents(self, training, mesh),
        lambda: metric_names(read_batch, self, training),
      )
    return measure_with(read_batch, self, training, mesh)
