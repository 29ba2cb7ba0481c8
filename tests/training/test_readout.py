"""Reading out at labels only, or in chunks, is reading out everything."""

from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.base import apply, apply_body
from memjax.tasks.base import Stream
from memjax.training.readout import gather_labels, measure_labels
from memjax.training.state import initial_params
from memjax.types import Batch
from tests.small import small

ROWS = 8


def batch_of(task: Any) -> Batch:
  host_batch = task.rows(Stream(3, 0, ROWS), 0, np.arange(ROWS))
  return task.batch(jax.tree.map(jnp.asarray, host_batch))


def assert_same(one: Any, other: Any, tolerance: float) -> None:
  leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
  for a, b in zip(leaves, others, strict=True):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('family', 'model', 'chunk_bytes'),
  [
    pytest.param('mqar', 'transformer', 2**30, marks=pytest.mark.slow),
    ('mqar', 'lstm', 1),
    ('copy_memory', 'lstm', 2**30),
    pytest.param('adding', 'gru', 2**30, marks=pytest.mark.slow),
    pytest.param('babi', 'memn2n', 2**30, marks=pytest.mark.slow),
    pytest.param('ntm_tasks', 'copy-lstm', 2**30, marks=pytest.mark.slow),
    ('text', 'lstm', 2**30),
    ('text', 'lstm', 3 * ROWS * 256 * 4),
    ('text', 'rnn', ROWS * 256 * 4),
    ('text', 'transformer', 1),
  ],
)
def test_metrics_and_gradients_are_those_of_the_whole_readout(
  family: str, model: str, chunk_bytes: int
) -> None:
  assert_labels_are_enough(small(family, model), chunk_bytes)


CLUSTERS = {'model.cutoffs': '60 120', 'model.shrink': 2, 'model.tie': True}


@pytest.mark.slow
@pytest.mark.parametrize('chunk_bytes', [2**30, 2 * ROWS * 62 * 4])
def test_labels_of_clusters_are_those_of_the_whole_readout(
  chunk_bytes: int,
) -> None:
  experiment = small('text', 'gru', CLUSTERS)
  assert experiment.model.label_size == 62
  assert_labels_are_enough(experiment, chunk_bytes)


def assert_labels_are_enough(experiment: Any, chunk_bytes: int) -> None:
  """Metrics and gradients, beside those of all outputs."""
  net, task = experiment.model, experiment.task
  params = initial_params(net, task, jax.random.key(0))
  batch, carry = batch_of(task), net.initial_carry(ROWS)

  def whole(params: Any) -> Any:
    _, y = apply(net, params, carry, batch.inputs, batch.reset_BT)
    metrics = task.measure(y, batch)
    return metrics['loss'].sum, metrics

  def labels_only(params: Any) -> Any:
    _, h = apply_body(net, params, carry, batch.inputs, batch.reset_BT)
    metrics = measure_labels(net, task, params, h, batch, 0, chunk_bytes)
    return metrics['loss'].sum, metrics

  grads, metrics = jax.jit(jax.grad(whole, has_aux=True))(params)
  ours, measured = jax.jit(jax.grad(labels_only, has_aux=True))(params)
  assert metrics['loss'].count > 0
  assert measured.keys() == metrics.keys()
  assert_same(measured, metrics, 1e-5)
  assert_same(ours, grads, 1e-4)


def test_labels_are_gathered_in_order_of_time() -> None:
  weights = jnp.array([[0, 1, 0, 2, 0], [0, 0, 0, 0, 1], [1, 1, 0, 0, 1]])
  h_BTD = jnp.arange(15.0).reshape(3, 5, 1)
  batch = Batch(
    inputs=h_BTD,
    targets=jnp.arange(15).reshape(3, 5),
    loss_weights_BT=weights.astype(jnp.float32),
    reset_BT=jnp.zeros((3, 5), bool),
  )
  h_BLD, gathered = gather_labels(h_BTD, batch, 3)
  assert gathered.loss_weights_BT.tolist() == [[1, 2, 0], [1, 0, 0], [1] * 3]
  assert gathered.targets[0, :2].tolist() == [1, 3]
  assert gathered.targets[2].tolist() == [10, 11, 14]
  assert h_BLD[2, :, 0].tolist() == [10, 11, 14]
  for labels in (0, 5, 6):
    assert gather_labels(h_BTD, batch, labels)[0] is h_BTD


def largest_array(function: Any, *args: Any) -> int:
  """Elements of the largest array that a gradient's program makes."""
  found = [0]

  def walk(jaxpr: Any) -> None:
    for equation in jaxpr.eqns:
      for variable in equation.outvars:
        found.append(variable.aval.size)
      for part in jax.extend.core.jaxprs_in_params(equation.params):
        walk(part)

  walk(jax.make_jaxpr(jax.grad(function))(*args).jaxpr)
  return max(found)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('family', ['text', 'mqar'])
def test_no_array_of_every_step_and_symbol_exists(family: str) -> None:
  experiment = small(
    family, 'rnn', {'task.vocab': 64} if family != 'text' else {}
  )
  net, task = experiment.model, experiment.task
  params = initial_params(net, task, jax.random.key(0))
  batch, carry = batch_of(task), net.initial_carry(ROWS)
  whole = ROWS * task.length * net.output_spec.size

  def loss(params: Any, chunk_bytes: int) -> jax.Array:
    _, h = apply_body(net, params, carry, batch.inputs, batch.reset_BT)
    metrics = measure_labels(net, task, params, h, batch, 0, chunk_bytes)
    return metrics['loss'].sum

  chunk = 2 * ROWS * net.output_spec.size * 4
  limit = whole // 2
  assert largest_array(lambda p: loss(p, chunk), params) < limit
  if family == 'text':
    assert largest_array(lambda p: loss(p, 2**30), params) >= whole


@pytest.mark.slow
def test_clusters_make_no_array_of_every_step_and_symbol() -> None:
  """Not of the last tail either, with more than half of the symbols."""
  experiment = small('text', 'gru', CLUSTERS)
  net, task = experiment.model, experiment.task
  params = initial_params(net, task, jax.random.key(0))
  batch, carry = batch_of(task), net.initial_carry(ROWS)

  def loss(params: Any) -> jax.Array:
    _, h = apply_body(net, params, carry, batch.inputs, batch.reset_BT)
    return measure_labels(net, task, params, h, batch, 0)['loss'].sum

  whole = ROWS * task.length * net.output_spec.size
  assert largest_array(loss, params) < whole // 2
