"""Search: every query of a split against all documents of the split.

Index: the vector of each document, once. Match: the cosine with the query's.
Rank: by cosine; see data/ranks.py for the figures.
"""

import dataclasses

import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.data.ranks import FIGURES, group, rank_figures
from memjax.data.tokenizers import Marked
from memjax.errors import require
from memjax.evaluation.base import (
  Evaluation,
  KnownMeasure,
  Measure,
  Measured,
  Training,
)
from memjax.evaluation.overlap import NumberedRows
from memjax.evaluation.totals import totals_with
from memjax.models.base import apply
from memjax.tasks.base import invalid_ids
from memjax.training.metrics import metric_values
from memjax.training.step import cast
from memjax.types import Carry, HostBatch, Metric, Params, Sums

MOST = 1 << 26  # floats of a set's vectors: they are kept until it was read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking(Evaluation):
  """Ranks of the right documents, from the vectors of a dual encoder.

  Figures: `recall_1`, `recall_10`, `mrr_10`, `ndcg_10`, each from 0 to 1.
  """

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    """See `Evaluation.prepare`.

    Raises:
      ConfigError: the task does not answer with the vectors of pairs, or the
        set is too large to be kept.
    """
    field, name = f'evals.{self.set_name}', type(self).__name__
    marks, width = self.task.text_tokenizer, self.task.output_spec.size
    rule = 'needs a task of vectors, retrieval.Retrieval'
    vectors = isinstance(marks, Marked) and not self.task.output_spec.discrete
    require(vectors, f'{field}.name', name, rule)
    assert isinstance(marks, Marked)
    count = self.number_of_steps * self.batch_size
    rule = f'texts, of {width} floats each: at most {MOST:,} floats; give '
    rule += f'{field}.steps'
    require(2 * count * width <= MOST, f'{field}.task', 2 * count, rule)
    dtype = training.train.dtype

    def read_rows(
      params: Params, carry: Carry, host_batch: HostBatch
    ) -> tuple[Carry, Sums]:
      rows, number_B = host_batch
      batch = self.task.batch(rows)
      params, batch = cast(params, batch, dtype)
      read = batch.inputs, batch.reset_BT
      carry, y = apply(self.model, params, carry, *read)
      sums = {}
      for name, mark in (('query', marks.separator), ('document', marks.end)):
        at_BT = (batch.loss_weights_BT > 0) & (batch.inputs == mark)
        number_BT = (batch.targets + 1).astype(jnp.float32)
        told = jnp.concatenate(
          [number_BT[..., None], y.astype(jnp.float32)], axis=2
        )
        told_BX = jnp.where(at_BT[..., None], told, 0).sum(axis=1)
        table = jnp.zeros((count, width + 1)).at[number_B].set(told_BX)
        sums[name] = Metric(table, 1.0)
      return carry, Sums(sums, invalid_ids(self.task, batch))

    source = NumberedRows(self.task)
    totals = totals_with(read_rows, source, self, training, mesh)

    def measure(params: Params) -> Measured:
      sums = totals(params)
      metric_values(sums)  # refuses invalid ids
      tables = (sums.metrics[name].sum for name in ('query', 'document'))
      found = [figures_of(*pair) for pair in zip(*tables, strict=True)]
      return Measured(
        {name: np.array([f[name] for f in found]) for name in FIGURES}
      )

    return KnownMeasure(measure, lambda: set(FIGURES))


def figures_of(query_PX: np.ndarray, document_PX: np.ndarray) -> dict:
  """The figures of one replica.

  Args:
    query_PX: of each pair the number of its query, from 1, and its vector; 0 in
      rows of padding.
    document_PX: the same of documents.
  """
  real_P = query_PX[:, 0] > 0
  queries, documents = (
    np.unique(
      told[real_P, 0].astype(int), return_index=True, return_inverse=True
    )
    for told in (query_PX, document_PX)
  )
  query_QD, document_ND = (
    unit(told[real_P, 1:][first])
    for told, (_, first, _) in ((query_PX, queries), (document_PX, documents))
  )
  answers = group(queries[2].tolist(), documents[2].tolist())
  return rank_figures(
    (document_ND @ query_QD[query], np.array(right))
    for query, right in answers.items()
  )


def unit(vector_ND: np.ndarray) -> np.ndarray:
  """Vectors of length 1; zeros stay zeros."""
  lengths_N1 = np.linalg.norm(vector_ND, axis=1, keepdims=True)
  return vector_ND / np.maximum(lengths_N1, 1e-30)
