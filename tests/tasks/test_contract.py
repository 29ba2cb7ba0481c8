"""What every task that a config names must keep: labels, measures, no work."""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import functools
import json
from pathlib import Path
import runpy
import sys
from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.build import build_task
from memjax.config.reader import prepare_task
from memjax.data.babi import open_tasks
from memjax.data.corpus import close_corpora
from memjax.data.images import open_images
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Metrics
from tests.variants import covering

ROOT = Path(__file__).parents[2]
ROWS = 300
# Tasks whose `labels` is a bound that few rows or none reach.
BOUNDS = ('InContextRecall', 'NoisyRecall', 'Mentions', 'Pairs', 'Augmented')


def task_specs() -> dict[str, dict[str, Any]]:
  """The small version of every task that a config names, by class."""
  specs: dict[str, dict[str, Any]] = {}
  for path in sorted((ROOT / 'configs').glob('*.py')):
    module = runpy.run_path(str(path))
    for variant in covering(module.get('VARIANTS', ())):
      task = module['get_config'](f'{variant},quick').task.to_dict()
      specs.setdefault(task['name'], task)
  return specs


SPECS = task_specs()
every_spec = pytest.mark.parametrize('spec', SPECS.values(), ids=list(SPECS))


@functools.cache
def first_batch(name: str) -> tuple[Task, Batch]:
  task = prepare_task(json.loads(name))
  host_batch = task.rows(Stream(3, 0, ROWS), 0, np.arange(ROWS))
  return task, jax.tree.map(np.asarray, jax.jit(task.batch)(host_batch))


def drawn(spec: Mapping[str, Any]) -> tuple[Task, Batch]:
  """A task and its first batch."""
  return first_batch(json.dumps(spec, sort_keys=True))


def outputs(task: Task, rows: int) -> np.ndarray:
  """Random outputs of a model, `(rows, T, ...)`."""
  shape = rows, task.length, task.output_spec.size
  return np.random.default_rng(0).standard_normal(shape, np.float32)


@functools.partial(jax.jit, static_argnums=0)
def measured(task: Task, y: jax.Array, batch: Batch) -> Metrics:
  return task.measure(y, batch)


def gathered(tree: Any, labels: int, loss_weights_BT: np.ndarray) -> Any:
  """The labelled positions of each row, then others up to `labels`."""
  order_BT = np.argsort(loss_weights_BT == 0, axis=1, kind='stable')
  rows_B1 = np.arange(len(order_BT))[:, None]
  return jax.tree.map(lambda x: x[rows_B1, order_BT[:, :labels]], tree)


def assert_equal(found: Metrics, expected: Metrics) -> None:
  assert found.keys() == expected.keys()
  for name, metric in found.items():
    other = expected[name]
    np.testing.assert_allclose(metric.sum, other.sum, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(
      metric.count, other.count, rtol=1e-6, err_msg=name
    )


@pytest.mark.slow
@every_spec
def test_no_row_has_more_labels_than_the_task_says(
  spec: Mapping[str, Any],
) -> None:
  task, batch = drawn(spec)
  most = int((batch.loss_weights_BT > 0).sum(axis=1).max())
  if task.labels == 0:
    return
  assert most <= task.labels <= task.length
  assert most == task.labels or type(task).__name__ in BOUNDS


@pytest.mark.slow
@every_spec
def test_a_measure_needs_the_labelled_positions_only(
  spec: Mapping[str, Any],
) -> None:
  task, batch = drawn(spec)
  batch = jax.tree.map(lambda x: x[:16], batch)
  y = outputs(task, 16)
  labels = int((batch.loss_weights_BT > 0).sum(axis=1).max())
  assert labels > 0
  few_y, few = gathered((y, batch), labels + 1, batch.loss_weights_BT)
  assert_equal(measured(task, few_y, few), measured(task, y, batch))


@pytest.mark.fast_cases(6)
@every_spec
def test_chunks_of_time_add_up_where_a_task_measures_positions(
  spec: Mapping[str, Any],
) -> None:
  task, batch = drawn(spec)
  if not task.measures_positions:
    return
  half = task.length // 2
  y, batch = jax.tree.map(lambda x: x[:16], (outputs(task, 16), batch))
  parts = [
    measured(
      task, *jax.tree.map(lambda x, at=at: x[:, at : at + half], (y, batch))
    )
    for at in (0, half)
  ]
  both = jax.tree.map(np.add, *parts)
  whole = jax.tree.map(lambda x: x[:, : 2 * half], (y, batch))
  assert_equal(both, measured(task, *whole))


forbidden = {'open': False}


def refuse(event: str, args: tuple[Any, ...]) -> None:
  if event in ('open', 'os.listdir', 'os.scandir') and forbidden['open']:
    raise AssertionError(f'{event} {args[0]}')


sys.addaudithook(refuse)


@contextlib.contextmanager
def no_files() -> Iterator[None]:
  """Reading and listing files fails in the body."""
  forbidden['open'] = True
  try:
    yield
  finally:
    forbidden['open'] = False


def test_the_guard_sees_files() -> None:
  with no_files(), pytest.raises(AssertionError, match='open'):
    Path(__file__).read_text()
  with no_files(), pytest.raises(AssertionError, match=r'scandir|listdir'):
    list(Path(__file__).parent.glob('*.py'))


@every_spec
def test_constructing_a_task_reads_no_file(spec: Mapping[str, Any]) -> None:
  task = build_task(spec)
  close_corpora()
  open_tasks.cache_clear()
  open_images.cache_clear()
  with no_files():
    assert dataclasses.replace(task) == task
  assert open_tasks.cache_info().currsize == 0
  assert open_images.cache_info().currsize == 0


@pytest.mark.fast_cases(9)
@every_spec
def test_preparing_a_task_twice_changes_nothing(
  spec: Mapping[str, Any],
) -> None:
  task, _ = drawn(spec)
  before = (task.input_spec, task.output_spec, task.length, task.fingerprint())
  task.prepare()
  assert before == (
    task.input_spec,
    task.output_spec,
    task.length,
    task.fingerprint(),
  )
