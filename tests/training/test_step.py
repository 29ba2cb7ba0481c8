"""The step is one gradient, however rows, time and calls are cut."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.long_range.copy_memory import CopyMemory
from memjax.training import parallel
from memjax.training.metrics import metric_values
from memjax.training.optimisers.optim import optimiser
from memjax.training.program import program
from memjax.training.step import initial_state, make_step, read_batch
from memjax.types import Batch
from tests.small import assert_close, run, small

ONE = {'parallel.data': 1, 'optim.name': 'sgd', 'optim.learning_rate': 0.1}
SEED = jnp.uint32(0)


def first_batch(experiment: Experiment) -> Batch:
  rows = np.arange(experiment.train.batch_size)
  stream = Stream(0, 0, len(rows))
  return experiment.task.batch(experiment.task.rows(stream, 0, rows))


@pytest.mark.slow
@pytest.mark.parametrize(
  'family', ['adding', pytest.param('mqar', marks=pytest.mark.slow)]
)
def test_rows_read_in_parts_give_the_same_step(family: str) -> None:
  whole = run(small(family, 'lstm', ONE), 2)
  parts = run(small(family, 'lstm', ONE | {'train.grad_accum_steps': 4}), 2)
  assert_close(parts.params, whole.params, 1e-6)
  assert_close(parts.carry, whole.carry, 1e-5)
  assert_close(parts.sums, whole.sums, 1e-3)


def test_steps_of_one_call_are_steps() -> None:
  singly = run(small('adding', 'lstm', ONE), 4)
  at_once = run(
    small(
      'adding',
      'lstm',
      ONE
      | {'train.steps_per_call': 2, 'log.every': 2}
      | {'checkpoint.every': 2},
    ),
    2,
  )
  assert int(at_once.step) == int(singly.step) == 4
  assert_close(at_once.params, singly.params, 1e-6)
  assert_close(at_once.sums, singly.sums, 1e-3)


def input_gradient(segments: int, group: int) -> np.ndarray:
  """|d loss / d input| by time; the loss of adding is at the last step."""
  experiment = small(
    'adding',
    'lstm',
    {
      'task.length': 12,
      'train.segment_length': 12 // segments,
      'train.bptt_segments': group,
    },
  )
  state = initial_state(experiment, optimiser(experiment.optim, 2), SEED)
  batch = first_batch(experiment)

  def loss(inputs: jax.Array) -> jax.Array:
    changed = batch._replace(inputs=inputs)
    _, metrics = read_batch(
      experiment, state.params, state.carry, changed, state.key
    )
    return metrics['loss'].sum

  return np.asarray(jax.grad(loss)(batch.inputs))


@pytest.mark.slow
def test_the_gradient_is_whole_when_the_segments_cover_the_row() -> None:
  whole = input_gradient(1, 1)
  assert np.abs(whole).min(axis=(0, 2)).min() > 0
  np.testing.assert_allclose(input_gradient(4, 4), whole, atol=1e-6)


@pytest.mark.slow
def test_the_gradient_ends_where_its_segments_end() -> None:
  by_time = np.abs(input_gradient(4, 2)).sum(axis=(0, 2))
  assert (by_time[:6] == 0).all()
  assert (by_time[6:] > 0).all()
  by_time = np.abs(input_gradient(4, 1)).sum(axis=(0, 2))
  assert (by_time[:9] == 0).all()
  assert (by_time[9:] > 0).all()


def test_bfloat16_computes_near_float32_and_keeps_its_state_in_it() -> None:
  exact = run(small('copy_memory', 'lstm', ONE), 2)
  rough = run(
    small('copy_memory', 'lstm', ONE | {'train.dtype': 'bfloat16'}), 2
  )
  for tree in (rough.params, rough.carry, rough.opt_state):
    for leaf in jax.tree.leaves(tree):
      assert leaf.dtype in (jnp.float32, jnp.int32)
  assert_close(rough.params, exact.params, 2e-3)
  difference = jax.tree.map(lambda a, b: (a != b).any(), rough, exact)
  assert jax.tree.reduce(jnp.logical_or, difference.params)


@pytest.mark.slow
def test_the_average_follows_the_parameters() -> None:
  options = ONE | {'optim.ema': 0.75}
  after = [run(small('adding', 'gru', options), calls) for calls in (0, 1, 2)]
  ema = after[0].params
  for state in after[1:]:
    ema = jax.tree.map(lambda a, p: 0.75 * a + 0.25 * p, ema, state.params)
  assert_close(after[2].ema, ema, 1e-6)
  assert after[2].evaluated is after[2].ema


def test_ids_outside_the_vocabulary_are_counted_and_refused() -> None:
  experiment = small('mqar', 'lstm', ONE)
  step = jax.jit(make_step(experiment, optax.sgd(0.1)))
  state = initial_state(experiment, optax.sgd(0.1), SEED)
  batch = first_batch(experiment)
  for wrong in (-1, experiment.task.input_spec.size):
    bad = batch._replace(inputs=batch.inputs.at[0, 3].set(wrong))
    _, sums = step(state, bad)
    with pytest.raises(ConfigError, match='1: ids outside the vocabulary'):
      metric_values(jax.tree.map(np.float64, sums))
  _, sums = step(state, batch)
  assert metric_values(jax.tree.map(np.float64, sums))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooFewLabels(CopyMemory):
  """A task that says fewer labels than its rows have."""

  @property
  def labels(self) -> int:
    return 3


def test_labels_that_a_task_does_not_count_are_refused() -> None:
  whole = small('copy_memory', 'lstm', ONE)
  task = TooFewLabels(delay=12)
  experiment = dataclasses.replace(whole, task=task)
  step = jax.jit(make_step(experiment, optax.sgd(0.1)))
  state = initial_state(experiment, optax.sgd(0.1), SEED)
  _, sums = step(state, first_batch(experiment))
  lost = experiment.train.batch_size * (task.length - 3)
  with pytest.raises(ConfigError, match=f'^task: {lost}: labels were not'):
    metric_values(jax.tree.map(np.float64, sums))


@pytest.mark.slow
def test_the_state_is_donated() -> None:
  experiment = small('adding', 'lstm', ONE)
  mesh = parallel.make_mesh(experiment.parallel)
  functions = program(experiment, mesh)
  state = functions.initial_state()
  rows = experiment.task.rows(Stream(0, 0, 8), 0, np.arange(8))[None, None]
  functions.advance(state, rows)
  big = [x for x in jax.tree.leaves(state.params) if x.size > 1]
  assert all(leaf.is_deleted() for leaf in big)


@pytest.mark.slow
def test_dropout_draws_anew_each_step_and_the_same_each_time() -> None:
  options = ONE | {'model.dropout': 0.5, 'optim.learning_rate': 1e-9}
  experiment = small('copy_memory', 'lstm', options)
  one, again, two = (run(experiment, calls) for calls in (1, 1, 2))
  assert one.sums.metrics['loss'].sum == again.sums.metrics['loss'].sum
  second = two.sums.metrics['loss'].sum - one.sums.metrics['loss'].sum
  assert abs(second - one.sums.metrics['loss'].sum) > 1e-2
