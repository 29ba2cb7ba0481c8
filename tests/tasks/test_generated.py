"""Properties of every generated task."""

from collections.abc import Callable
import dataclasses
import functools
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memjax.tasks
from memjax.tasks.base import GeneratedTask, Stream
from memjax.types import Batch, HostBatch, Metrics


def generated_tasks() -> list[GeneratedTask]:
  """Every task of the package that draws its rows, with its defaults."""
  modules = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(memjax.tasks.__path__, 'memjax.tasks.')
  ]
  return [
    value()
    for module in modules
    for value in vars(module).values()
    if isinstance(value, type)
    and issubclass(value, GeneratedTask)
    and not inspect.isabstract(value)
    and value.__module__ == module.__name__
  ]


TASKS = generated_tasks()
every_task = pytest.mark.parametrize(
  'task', TASKS, ids=[type(task).__name__ for task in TASKS]
)


@functools.cache
def compiled(task: GeneratedTask) -> Callable[[HostBatch], Batch]:
  return jax.jit(task.batch)


@functools.cache
def measuring(task: GeneratedTask) -> Callable[[np.ndarray, Batch], Metrics]:
  return jax.jit(task.measure)


def draw(
  task: GeneratedTask, stream: Stream, step: int = 0, rows: tuple = ()
) -> Batch:
  ids = np.array(rows or range(stream.batch_size))
  batch = compiled(task)(task.rows(stream, step, ids))
  return jax.tree.map(np.asarray, batch)


def normal(*shape: int) -> np.ndarray:
  return np.random.default_rng(1).standard_normal(shape, np.float32)


def same(one: Batch, other: Batch) -> bool:
  return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def row(batch: Batch, i: int) -> Batch:
  return jax.tree.map(lambda x: x[i], batch)


def test_the_known_tasks_are_found() -> None:
  names = {type(task).__name__ for task in TASKS}
  assert {'CopyMemory', 'Adding', 'MQAR'} <= names


@pytest.mark.fast_cases(9)
@every_task
def test_a_batch_has_the_shapes_and_types_it_promises(
  task: GeneratedTask,
) -> None:
  batch = draw(task, Stream(0, 0, 4))
  for spec, x in (
    (task.input_spec, batch.inputs),
    (task.output_spec, batch.targets),
  ):
    zeros = spec.zeros(4, task.length)
    assert (x.shape, x.dtype) == (zeros.shape, zeros.dtype)
    assert spec.outside(x) == 0
  assert batch.loss_weights_BT.dtype == jnp.float32
  assert set(np.unique(batch.loss_weights_BT)) <= {0.0, 1.0}
  assert batch.loss_weights_BT.any(axis=1).all()
  np.testing.assert_array_equal(
    batch.reset_BT, np.tile(np.arange(task.length) == 0, (4, 1))
  )


@pytest.mark.fast_cases(9)
@every_task
def test_the_extent_of_labels_is_what_the_task_says(
  task: GeneratedTask,
) -> None:
  batch = draw(task, Stream(0, 0, 4))
  if not task.score_axis:
    assert batch.score_axis_BT == ()
    return
  assert task.score_axis in ('label_distance', 'sequence_length')
  assert batch.score_axis_BT.shape == (4, task.length)
  assert batch.score_axis_BT.dtype == jnp.int32
  assert not batch.score_axis_BT[batch.loss_weights_BT == 0].any()
  assert (batch.score_axis_BT.max(axis=1) > 0).all()
  if task.score_axis == 'label_distance':
    assert (batch.score_axis_BT <= np.arange(task.length)[None]).all()


@every_task
def test_a_row_depends_on_seed_stream_step_and_row_only(
  task: GeneratedTask,
) -> None:
  stream = Stream(3, 0, 4)
  batch = draw(task, stream)
  wider = draw(task, Stream(3, 0, 9), rows=(1, 8, 3, 0))
  for index, wider_index in ((1, 0), (3, 2), (0, 3)):
    assert same(row(batch, index), row(wider, wider_index))
  assert same(batch, draw(task, stream))
  for other in (
    draw(task, Stream(4, 0, 4)),
    draw(task, Stream(3, 1, 4)),
    draw(task, stream, step=1),
  ):
    for a, b in zip(batch.inputs, other.inputs, strict=True):
      assert not np.array_equal(a, b)
  for a, b in zip(batch.inputs[1:], batch.inputs[:-1], strict=True):
    assert not np.array_equal(a, b)


@pytest.mark.fast_cases(15)
@every_task
def test_traced_twice_it_is_the_same_program(task: GeneratedTask) -> None:
  """Nothing is drawn, or remembered, on the side."""
  feed = task.rows(Stream(0, 0, 4), 5, np.arange(4))
  once, again = (jax.make_jaxpr(lambda f: task.batch(f))(feed) for _ in '12')
  assert str(once) == str(again)
  for a, b in zip(once.consts, again.consts, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@every_task
def test_what_is_not_weighted_does_not_count(task: GeneratedTask) -> None:
  batch = draw(task, Stream(0, 0, 4))
  width = task.output_spec.size
  y = normal(4, task.length, width)
  free_BT = batch.loss_weights_BT == 0
  changed = np.where(free_BT[..., None], 7.0 - y, y)
  free = free_BT.reshape(free_BT.shape + (1,) * (batch.targets.ndim - 2))
  target = np.zeros((), batch.targets.dtype)
  relabelled = batch._replace(targets=np.where(free, target, batch.targets))
  measure = measuring(task)
  measured = measure(y, batch)
  assert 'loss' in measured
  for name, metric in measure(changed, relabelled).items():
    for one, other in (
      (metric.sum, measured[name].sum),
      (metric.count, measured[name].count),
    ):
      np.testing.assert_array_equal(one, other, name)
    assert metric.sum.dtype == metric.count.dtype == jnp.float32


@pytest.mark.fast_cases(15)
@every_task
def test_an_unweighted_row_counts_nowhere(task: GeneratedTask) -> None:
  batch = draw(task, Stream(0, 0, 4))
  y = normal(4, task.length, task.output_spec.size)
  weights_BT = batch.loss_weights_BT.copy()
  weights_BT[2:] = 0
  twice = jax.tree.map(lambda x: x[[0, 1, 0, 1]], (y, batch))
  measure = measuring(task)
  measured = measure(*twice)
  padded = batch._replace(loss_weights_BT=weights_BT)
  for name, metric in measure(y, padded).items():
    one = 2 * np.stack([metric.sum, metric.count])
    other = np.stack([measured[name].sum, measured[name].count])
    np.testing.assert_allclose(one, other, 1e-6, 0, err_msg=name)


@pytest.mark.fast_cases(15)
@every_task
def test_baselines_are_metrics_the_task_measures(task: GeneratedTask) -> None:
  batch = draw(task, Stream(0, 0, 4))
  y = np.zeros((4, task.length, task.output_spec.size), np.float32)
  assert task.baselines.keys() <= measuring(task)(y, batch).keys()


@every_task
def test_a_task_is_a_value(task: GeneratedTask) -> None:
  assert task == dataclasses.replace(task)
  with pytest.raises(dataclasses.FrozenInstanceError):
    task.length = 7  # type: ignore[misc]
