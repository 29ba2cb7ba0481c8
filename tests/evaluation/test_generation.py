"""Greedy continuations equal a plain loop that reads its own answers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.evaluation.base import Evaluation, Measure, Measured, Training
from memjax.evaluation.generation import exact_metrics, undefined_rows
from memjax.models.base import apply
from memjax.training import parallel
from memjax.training.evaluation import Evaluator, prepare_sets
from memjax.training.state import initial_params
from memjax.types import Batch, Params
from tests.small import small

ROWS = 4
EXACT = {
  'parallel.data': 1,
  'evals.held_out.name': 'generation.ExactMatch',
  'evals.held_out.batch_size': ROWS,
  'evals.held_out.steps': 2,
}


def evaluator(experiment: Experiment, name: str) -> Evaluator:
  return Evaluator(name, experiment, parallel.make_mesh(experiment.parallel))


def follow(experiment: Experiment, params: Any) -> tuple[float, float]:
  """Exact match and accuracy by a loop over rows, steps and nothing else."""
  evaluation = experiment.evals['held_out']
  model, task = evaluation.model, evaluation.task
  read = jax.jit(lambda *state: apply(model, params, *state))
  exact, right = [], []
  for step in range(2):
    rows = task.rows(evaluation.stream(experiment.seed), step, np.arange(ROWS))
    batch = jax.tree.map(np.asarray, task.batch(rows))
    for row in range(ROWS):
      labelled = np.flatnonzero(batch.loss_weights_BT[row])
      text, end = batch.inputs[row].copy(), labelled[-1]
      carry, answers = model.initial_carry(1), []
      for t in range(end + 1):
        carry, y = read(carry, jnp.array([[text[t]]]), jnp.array([[t == 0]]))
        if t in labelled:
          answers.append(int(np.argmax(y[0, 0])))
          if t < end:
            text[t + 1] = answers[-1]
      hits = np.array(answers) == batch.targets[row][labelled]
      exact.append(hits.all())
      right.extend(hits)
  return float(np.mean(exact)), float(np.mean(right))


def params_of(experiment: Experiment, seed: int) -> Params:
  key = jax.random.key(seed)
  return initial_params(experiment.model, experiment.task, key)


@pytest.mark.parametrize(
  'model', ['lstm', pytest.param('transformer', marks=pytest.mark.slow)]
)
def test_it_is_a_loop_that_reads_its_own_answers(model: str) -> None:
  experiment = small('segments', f'reverse-{model}', EXACT)
  some = 0.0
  for seed in range(3):
    params = params_of(experiment, seed)
    whole = jax.tree.map(lambda x: x[None], params)
    figures = evaluator(experiment, 'held_out').measure(whole)
    exact, accuracy = follow(experiment, params)
    np.testing.assert_allclose(figures['exact_match'], exact)
    np.testing.assert_allclose(figures['accuracy'], accuracy, rtol=1e-6)
    some += accuracy
  assert figures.keys() == {'exact_match', 'accuracy'}
  assert some > 0


def rows_of(inputs: list[int], targets: list[int], weights: list[int]) -> Batch:
  return Batch(
    inputs=jnp.array([inputs]),
    targets=jnp.array([targets]),
    loss_weights_BT=jnp.array([weights], jnp.float32),
    reset_BT=jnp.zeros((1, len(inputs)), bool),
  )


PROMPTED = rows_of([7, 8, 1, 2, 5], [0, 1, 2, 3, 0], [0, 1, 1, 1, 0])


@pytest.mark.parametrize(
  ('answers', 'exact', 'right'),
  [
    ([9, 1, 2, 3, 9], 1, 3),  # only labelled answers count
    ([0, 1, 2, 4, 0], 0, 2),
    ([0, 1, 4, 3, 0], 0, 2),
    ([0, 4, 4, 4, 0], 0, 0),
  ],
)
def test_a_row_is_right_if_every_label_is(
  answers: list[int], exact: int, right: int
) -> None:
  metrics = exact_metrics(jnp.array([answers]), PROMPTED)
  assert metrics['exact_match'].value() == exact
  assert metrics['accuracy'].value() == pytest.approx(right / 3)


@pytest.mark.parametrize(
  'batch',
  [
    rows_of([7, 1, 4, 3], [1, 2, 3, 0], [1, 1, 1, 0]),  # 4 is not the label 2
    rows_of([7, 1, 4, 3], [1, 2, 3, 0], [1, 0, 1, 0]),  # two runs
    rows_of([7, 9, 9, 9], [1, 2, 0, 0], [1, 1, 0, 0]),  # blanks
  ],
)
def test_rows_of_another_kind_have_no_figure(batch: Batch) -> None:
  assert undefined_rows(batch).tolist() == [True]
  metrics = exact_metrics(batch.targets, batch)
  assert np.isnan(metrics['exact_match'].value())
  assert np.isnan(metrics['accuracy'].value())


def test_a_prompt_and_one_run_of_labels_is_defined() -> None:
  assert undefined_rows(PROMPTED).tolist() == [False]
  one = rows_of([7, 8, 9], [0, 1, 0], [0, 1, 0])
  assert undefined_rows(one).tolist() == [False]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('family', 'name', 'words'),
  [
    ('adding', 'held_out', 'needs a task that reads and answers the same'),
    ('text', 'validation', 'the rows of this task continue one another'),
    ('copy_memory', 'held_out', 'is not defined for 8 of the first 8 rows'),
  ],
)
def test_where_it_is_not_defined_is_one_line(
  family: str, name: str, words: str
) -> None:
  overrides = {f'evals.{name}.name': 'generation.ExactMatch'}
  experiment = small(family, 'lstm', overrides | {'parallel.data': 1})
  with pytest.raises(ConfigError) as error:
    evaluator(experiment, name)
  assert str(error.value).startswith(f"evals.{name}.name: 'ExactMatch': ")
  assert words in str(error.value)
  assert '\n' not in str(error.value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Norm(Evaluation):
  """A user's own evaluation: the norm of the parameters, scaled."""

  scale: float = 1.0

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    def measure(params: Params) -> Measured:
      leaves = jax.tree.leaves(params)
      squares = [(np.asarray(x) ** 2).sum() for x in leaves]
      return Measured({'norm': self.scale * np.sqrt([sum(squares)])})

    return measure


def test_a_users_own_evaluation_is_found_by_its_path() -> None:
  own = {
    'evals.held_out.name': 'tests.evaluation.test_generation.Norm',
    'evals.held_out.scale': 2.0,
    'checkpoint.best': 'held_out/norm',
    'parallel.data': 1,
  }
  experiment = small('adding', 'rnn', own)
  params = jax.tree.map(lambda x: x[None], params_of(experiment, 0))
  row = evaluator(experiment, 'held_out').row(7, params)
  squares = [(x**2).sum() for x in jax.tree.leaves(params)]
  norm = 2 * np.sqrt(sum(squares))
  assert row['metrics'] == {'norm': pytest.approx(norm, rel=1e-6)}
  assert row['split'] == 'held_out'
  assert row['protocol']['segment_length'] == 12
  assert experiment.config['evals']['held_out']['scale'] == 2.0


def test_a_metric_that_only_measuring_tells_is_refused_then() -> None:
  own = {
    'evals.held_out.name': 'tests.evaluation.test_generation.Norm',
    'checkpoint.best': 'held_out/nrm',
    'parallel.data': 1,
  }
  experiment = small('adding', 'rnn', own)
  mesh = parallel.make_mesh(experiment.parallel)
  assert len(prepare_sets(experiment, mesh)) == len(experiment.evals)
  params = jax.tree.map(lambda x: x[None], params_of(experiment, 0))
  with pytest.raises(ConfigError, match='did you mean held_out/norm'):
    evaluator(experiment, 'held_out').row(7, params)
