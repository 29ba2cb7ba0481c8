"""The task's own metrics over a stream of batches, every label once."""

import dataclasses

from jax.sharding import Mesh

from memjax.evaluation.base import Evaluation, Measure, Training
from memjax.evaluation.totals import measure_with
from memjax.training.step import evaluate_batch
from memjax.types import Batch, Carry, Params, Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Evaluation):
  """The model reads what the task shows; the task measures its outputs.

  Figures: the task's metrics, each a sum over the set divided by a count.
  """

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    dtype = training.train.dtype

    def read_batch(
      params: Params, carry: Carry, batch: Batch
    ) -> tuple[Carry, Sums]:
      return evaluate_batch(self.model, self.task, dtype, params, carry, batch)

    return measure_with(read_batch, self, training, mesh)
