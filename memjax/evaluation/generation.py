"""Greedy continuations against the labels of a row.

Rows are written as a language model reads them: a prompt, then the answer. The
labels of a row are one run, and the input at each of its positions but the
first is the label before it:

    position     0   1   2   3   4   5
    inputs       a   b   :   x   y   .
    targets              x   y   z
    weights      0   0   1   1   1   0

The model reads the inputs up to the first label, `a b :`, and answers with its
most likely token. From there on it reads its own answers instead of the inputs
`x y`, to the end of the run. Inputs after the run are read as they are.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.errors import require, require_at_least_one
from memjax.evaluation.base import Evaluation, Measure, Training
from memjax.evaluation.totals import measure_with
from memjax.generation.beam import NO_END, search
from memjax.models.base import Model, apply
from memjax.tasks.base import invalid_ids
from memjax.training.readout import lost_labels
from memjax.training.step import cast
from memjax.types import Batch, Carry, Metric, Metrics, Params, Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactMatch(Evaluation):
  """Rows whose every label the model generates, reading its own answers.

  Figures: `exact_match`, rows with every label right over rows with labels;
  `accuracy`, labels right over labels. Both are NaN if a batch has a row for
  which they are not defined. A row takes one step of the model per position, in
  a loop over time.

  Attributes:
    beams: number of answers that are kept while one is searched, see
      generation/beam.py; 1 is the greedy answer.
  """

  beams: int = 1

  def __post_init__(self) -> None:
    super().__post_init__()
    require_at_least_one(self, 'beams')

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    """See `Evaluation.prepare` and `check_rows`."""
    check_rows(self, training.seed)
    dtype = training.train.dtype

    def read_batch(
      params: Params, carry: Carry, batch: Batch
    ) -> tuple[Carry, Sums]:
      invalid = invalid_ids(self.task, batch), lost_labels(self.task, batch)
      params, batch = cast(params, batch, dtype)
      carry, answer_BT = generate(
        self.model, params, carry, batch, beams=self.beams
      )
      return carry, Sums(exact_metrics(answer_BT, batch), *invalid)

    return measure_with(read_batch, self, training, mesh)


def generate(
  model: Model,
  params: Params,
  carry: Carry,
  batch: Batch,
  to_the_end: bool = False,
  beams: int = 1,
  end: int = NO_END,
) -> tuple[Carry, jax.Array]:
  """The carry after the rows, and the answer at every position.

  Args:
    model: reads and answers the same tokens.
    params: its parameters.
    carry: the memory before.
    batch: rows whose labels are one run.
    to_the_end: whether the model reads its own answers to the end of the row,
      and not only to the end of the labels.
    beams: 1 takes the most likely token at every position; more search for the
      most likely answer.
    end: the token that ends an answer, for a search.
  """
  if beams > 1:
    labelled_BT = batch.loss_weights_BT > 0
    answers_BT = jnp.cumsum(labelled_BT, axis=1) > 0
    answers_BT = answers_BT if to_the_end else labelled_BT
    rows = batch.inputs, batch.reset_BT, answers_BT
    found = search(model, params, carry, *rows, beams, end)
    return found.carry, found.answer_BKT[:, 0]

  def step(
    state: tuple[Carry, jax.Array, jax.Array], xs: tuple[jax.Array, ...]
  ) -> tuple[tuple[Carry, jax.Array, jax.Array], jax.Array]:
    carry, answer_B, begun_B = state
    inputs_B, reset_B, weights_B = xs
    own_B = begun_B & ((weights_B > 0) | to_the_end)
    ids_B = jnp.where(own_B, answer_B, inputs_B)
    carry, y = apply(model, params, carry, ids_B[:, None], reset_B[:, None])
    answer_B = jnp.argmax(y[:, 0], axis=-1).astype(inputs_B.dtype)
    return (carry, answer_B, own_B | (weights_B > 0)), answer_B

  nothing_B = jnp.zeros_like(batch.inputs[:, 0])
  xs = (batch.inputs, batch.reset_BT, batch.loss_weights_BT)
  by_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), xs)
  start = carry, nothing_B, nothing_B > 0
  (carry, _, _), answer_TB = jax.lax.scan(step, start, by_time)
  return carry, answer_TB.T


def check_rows(evaluation: Evaluation, seed: int) -> None:
  """Requires rows that generated text can be compared with.

  Raises:
    ConfigError: the task does not read and answer the same tokens, its rows
      continue one another, or the first batch has a row whose labels are not
      one run that the inputs repeat.
  """
  task, size = evaluation.task, evaluation.batch_size
  field = f'evals.{evaluation.set_name}.name'
  name = type(evaluation).__name__
  reads, answers = task.input_spec, task.output_spec
  rule = f'needs a task that reads and answers the same tokens, not {reads} '
  rule += f'and {answers}'
  require(reads == answers and reads.classes > 0, field, name, rule)
  rule = 'needs rows of their own: the rows of this task continue one another'
  require(not task.carry_over, field, name, rule)
  host_batch = task.rows(evaluation.stream(seed), 0, np.arange(size))
  undefined = int(undefined_rows(jax.jit(task.batch)(host_batch)).sum())
  rows = f'{undefined} of the first {size} rows'
  rule = f'is not defined for {rows}: their labels must be one run that the '
  rule += 'inputs after them repeat'
  require(undefined == 0, field, name, rule)


def exact_metrics(answer_BT: jax.Array, batch: Batch) -> Metrics:
  """Rows and labels that were generated right."""
  weights_BT = batch.loss_weights_BT
  labelled_BT = weights_BT > 0
  right_BT = labelled_BT & (answer_BT == batch.targets)
  rows_B = labelled_BT.any(axis=1)
  exact_B = rows_B & (right_BT == labelled_BT).all(axis=1)
  defined = jnp.where(undefined_rows(batch).any(), jnp.nan, 1.0)
  return {
    'exact_match': Metric(
      defined * exact_B.sum(dtype=jnp.float32), rows_B.sum(dtype=jnp.float32)
    ),
    'accuracy': Metric(
      defined * right_BT.sum(dtype=jnp.float32),
      labelled_BT.sum(dtype=jnp.float32),
    ),
  }


def undefined_rows(batch: Batch) -> jax.Array:
  """`(B,)` bool, rows whose labels are not one run that the inputs repeat."""
  labelled_BT = batch.loss_weights_BT > 0
  seen_BT = jnp.cumsum(labelled_BT, axis=1) > 0
  before, after = labelled_BT[:, :-1], labelled_BT[:, 1:]
  second_run = after & ~before & seen_BT[:, :-1]
  other_input = after & before & (batch.inputs[:, 1:] != batch.targets[:, :-1])
  return (second_run | other_input).any(axis=1)
