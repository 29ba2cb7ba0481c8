"""What a model writes for a source, beside the target: BLEU and ROUGE-L.

The rows are pairs, one a row (`task.packed` False). The model reads a source
and its separator, then its own answers, to the end mark or the end of the row.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.data.tokenizers import Marked
from memjax.errors import require, require_at_least_one
from memjax.evaluation.base import (
  Evaluation,
  KnownMeasure,
  Measure,
  Measured,
  Training,
)
from memjax.evaluation.generation import check_rows, generate
from memjax.evaluation.text_scores import bleu, overlap, rouge_l
from memjax.evaluation.totals import totals_with
from memjax.tasks.base import Stream, Task, invalid_ids
from memjax.training.metrics import metric_values
from memjax.training.readout import lost_labels
from memjax.training.step import cast
from memjax.types import Carry, HostBatch, Metric, Params, Sums

FIGURES = ('bleu', 'rouge_l', 'exact_match')
MOST = 1 << 25  # tokens of a set: they are kept until the set was read


class NumberedRows(NamedTuple):
  """A task's rows, each with its number in the set."""

  task: Task

  def rows(
    self, stream: Stream, step: int, row_ids: np.ndarray
  ) -> tuple[HostBatch, np.ndarray]:
    number_B = (step * stream.batch_size + row_ids).astype(np.int32)
    return self.task.rows(stream, step, row_ids), number_B


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap(Evaluation):
  """Answers against the targets, as text.

  Figures: `bleu`, from 0 to 100, and `rouge_l`, from 0 to 1, see
  text_scores.py; `exact_match`, the share of answers that equal their target.

  Attributes:
    beams: number of answers that are kept while one is searched, see
      generation/beam.py; 1 is the greedy answer.
  """

  beams: int = 1

  def __post_init__(self) -> None:
    super().__post_init__()
    require_at_least_one(self, 'beams')

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    """See `Evaluation.prepare`.

    Raises:
      ConfigError: the task is not one of pairs, a row has several, or the set
        is too large to be kept.
    """
    field = f'evals.{self.set_name}'
    marks, name = self.task.text_tokenizer, type(self).__name__
    rule = 'needs a task of pairs, pairs.Pairs'
    require(isinstance(marks, Marked), f'{field}.name', name, rule)
    assert isinstance(marks, Marked)
    check_rows(self, training.seed)
    count = self.number_of_steps * self.batch_size
    rule = f'rows of {self.task.length} tokens: at most {MOST:,} tokens; give '
    rule += f'{field}.steps'
    fits = count * self.task.length <= MOST
    require(fits, f'{field}.task', count, rule)
    dtype = training.train.dtype

    def read_rows(
      params: Params, carry: Carry, host_batch: HostBatch
    ) -> tuple[Carry, Sums]:
      rows, number_B = host_batch
      batch = self.task.batch(rows)
      invalid = invalid_ids(self.task, batch), lost_labels(self.task, batch)
      params, batch = cast(params, batch, dtype)
      carry, answer_BT = generate(
        self.model, params, carry, batch, True, self.beams, marks.end
      )
      labelled_BT = batch.loss_weights_BT > 0
      written_BT = jnp.cumsum(labelled_BT, axis=1) > 0
      texts = {
        'answer': jnp.where(written_BT, answer_BT + 1, 0),
        'target': jnp.where(labelled_BT, batch.targets + 1, 0),
      }
      table = jnp.zeros((count, self.task.length))
      sums = {
        name: Metric(table.at[number_B].set(ids_BT.astype(table.dtype)), 1.0)
        for name, ids_BT in texts.items()
      }
      return carry, Sums(sums, *invalid)

    source = NumberedRows(self.task)
    totals = totals_with(read_rows, source, self, training, mesh)

    def measure(params: Params) -> Measured:
      sums = totals(params)
      metric_values(sums)  # refuses invalid ids
      answers, targets = (sums.metrics[name].sum for name in sums.metrics)
      scores = [
        scores_of(*pair, marks) for pair in zip(answers, targets, strict=True)
      ]
      return Measured(
        {name: np.array([s[name] for s in scores]) for name in FIGURES}
      )

    return KnownMeasure(measure, lambda: set(FIGURES))


def scores_of(
  answer_RT: np.ndarray, target_RT: np.ndarray, marks: Marked
) -> dict[str, float]:
  """The figures of one replica.

  Args:
    answer_RT: ids + 1 of what was written; 0 before the answer.
    target_RT: the same of the targets; 0 elsewhere, also in rows of padding.
    marks: decodes them, and knows the end mark.
  """
  pairs = [
    (text_of(answer_T, marks), text_of(target_T, marks))
    for answer_T, target_T in zip(answer_RT, target_RT, strict=True)
    if target_T.any()
  ]
  return {
    'bleu': bleu([overlap(*pair) for pair in pairs]),
    'rouge_l': float(np.mean([rouge_l(*pair) for pair in pairs])),
    'exact_match': float(np.mean([one == other for one, other in pairs])),
  }


def text_of(id_T: np.ndarray, marks: Marked) -> str:
  """The text up to the first mark."""
  ids = id_T[id_T > 0].astype(int) - 1
  ends = np.flatnonzero(ids >= marks.separator)
  return marks.decode(ids[: ends[0] if ends.size else None].tolist())
