"""From sums and counts on the device to rows on the disk."""

from collections.abc import Callable, Iterator
import contextlib
import math
import time
from typing import Any

import jax
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import Diverged, require
from memjax.training.parallel import to_host
from memjax.training.replicas import summary
from memjax.types import Sums

Row = dict[str, Any]


def metric_values(sums: Sums) -> dict[str, np.ndarray]:
  """{metric: figure}, `(N,)`, from sums and counts on the host.

  Raises:
    ConfigError: a batch held ids outside the task's vocabularies, or more
      labels than the task says.
  """
  invalid = int(np.max(sums.invalid_ids))
  require(not invalid, 'task', invalid, 'ids outside the vocabulary')
  lost = int(np.max(sums.lost_labels))
  rule = "labels were not read: Task.labels must be a row's most labels"
  require(not lost, 'task', lost, rule)
  return {name: metric.value() for name, metric in sums.metrics.items()}


class Meter:
  """Writes the row of a training interval once the device has finished it.

  A row's sums are copied out when its last step is dispatched, and read once
  the next one is: the device is never idle while the host writes.
  """

  def __init__(
    self,
    write: Callable[[Row], None],
    experiment: Experiment,
    step: int,
    seconds: float,
  ):
    """Starts at a step that was reached after `seconds` of training."""
    self._write = write
    train = experiment.train
    self._tokens = train.replicas * train.batch_size * experiment.task.length
    self._start = time.perf_counter() - seconds
    self._last_step = step
    self._last_time: float | None = None  # the first interval compiles
    self._pending: tuple[int, Sums] | None = None

  def push(self, step: int, sums: Sums) -> None:
    """Takes the sums of the steps up to this one, still on the device."""
    self._pending = step, sums

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Writes the pending row; then the clock is stopped in the body."""
    self.flush()
    before = time.perf_counter()
    yield
    if self._last_time is not None:
      self._last_time += time.perf_counter() - before

  def flush(self) -> None:
    """Writes the pending row, if there is one.

    Raises:
      Diverged: its loss is not finite, with several replicas in every one; the
        row is written first.
    """
    if self._pending is None:
      return
    (step, sums), self._pending = self._pending, None
    values = metric_values(jax.tree.map(np.float64, to_host(sums)))
    now = time.perf_counter()
    row: Row = {
      'step': step,
      'split': 'train',
      'seconds': round(now - self._start, 3),
    } | summary(values)
    if self._last_time is not None:
      tokens = (step - self._last_step) * self._tokens
      row['tokens_per_second'] = round(tokens / (now - self._last_time), 1)
    self._last_step, self._last_time = step, now
    self._write(row)
    loss = row['metrics']['loss']
    if not math.isfinite(loss):
      raise Diverged(
        f'step {step}: the training loss is {loss}: stopped; '
        'earlier checkpoints are kept'
      )
