"""Batches of a task, and the scores of outputs on them."""

from collections.abc import Callable
import functools
import hashlib

import jax
import numpy as np
from scipy.stats import chisquare

from memjax.tasks.base import GeneratedTask, Stream, Task
from memjax.types import Batch, HostBatch, Metrics


@functools.cache
def compiled(task: Task) -> Callable[[HostBatch], Batch]:
  return jax.jit(task.batch)


def draw(task: Task, rows: int, seed: int = 0) -> Batch:
  """The first batch of training."""
  feed = task.rows(Stream(seed, 0, rows), 0, np.arange(rows))
  return compiled(task)(feed)


@functools.cache
def measuring(task: Task) -> Callable[[np.ndarray, Batch], Metrics]:
  return jax.jit(task.measure)


def score(
  task: GeneratedTask, y: np.ndarray | jax.Array, batch: Batch
) -> dict[str, float]:
  """The scores of outputs `(B, T, ...)`."""
  measured = jax.device_get(measuring(task)(np.asarray(y, np.float32), batch))
  return {name: float(metric.value()) for name, metric in measured.items()}


def assert_as_it_was(task: GeneratedTask, rows: int, golden: str) -> None:
  """The rows of seed 17 are those the golden value was taken of."""
  batch = draw(task, rows, seed=17)
  seen = hashlib.sha256(
    np.asarray(batch.inputs).tobytes() + np.asarray(batch.targets).tobytes()
  ).hexdigest()
  assert seen[:16] == golden, (
    'The rows of seed 17 are not what they were: results before and after '
    'this change saw different data. If the change is meant, say so in its '
    f'commit message and set GOLDEN = {seen[:16]!r}; if not, something below '
    'the task changed, such as the random bits of another jax.'
  )


def assert_features_as_they_were(
  task: GeneratedTask, golden: list[float]
) -> None:
  """Four floats of a row of seed 17; their last bits differ by machine."""
  step_F = np.asarray(draw(task, 2, seed=17).inputs)[1, 5]
  np.testing.assert_allclose(step_F[:4], golden, rtol=0, atol=1e-3)


def assert_uniform(values: np.ndarray, lowest: int, highest: int) -> None:
  """Whole numbers of [lowest, highest], all as likely: one failure in 10^4."""
  assert values.min() >= lowest
  assert values.max() <= highest
  counts = np.bincount(values - lowest, minlength=highest - lowest + 1)
  assert chisquare(counts).pvalue > 1e-4, counts


def assert_fair(bits: np.ndarray) -> None:
  """Zeros and ones, either as likely at every place of a row and beside 1s."""
  flat = bits.reshape(len(bits), -1)
  assert set(np.unique(flat)) == {0, 1}
  for some in (flat, flat[:, 1:] == flat[:, :-1]):
    deviation = 0.5 / np.sqrt(len(some))
    assert np.abs(some.mean(axis=0) - 0.5).max() < 5 * deviation


def certain(predicted: np.ndarray) -> np.ndarray:
  """Logits of a model that is certain of these bits."""
  return 40 * (predicted - 0.5)
