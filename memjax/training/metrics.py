"""From sums and counts on the device to rows on the disk."""

from collections.abc import Callable, Mapping
import math
import time
from typing import Any

import jax
import numpy as np

from memjax.errors import Diverged, require
from memjax.training.parallel import to_host
from memjax.types import Metrics

Row = dict[str, Any]


def means(sums: Mapping[str, tuple[Any, Any]]) -> dict[str, float]:
  """{metric: sum / count}, of sums and counts on the host.

  Raises:
    ConfigError: a batch held ids outside the task's vocabularies.
  """
  values = {
    name: float(total / count) if count else math.nan
    for name, (total, count) in sums.items()
  }
  invalid = values.pop('invalid_ids')
  require(not invalid, 'task', invalid, 'ids outside the vocabulary a step')
  return values


class Meter:
  """Writes the row of a training interval once the device has finished it.

  A row's sums are copied out when its last step is dispatched and read one
  dispatch later, so that the device never waits for the host.
  """

  def __init__(
    self, write: Callable[[Row], None], step: int, tokens_per_step: int
  ):
    self._write, self._tokens = write, tokens_per_step
    self._start = self._last_time = time.perf_counter()
    self._last_step = step
    self._pending: tuple[int, Metrics] | None = None

  def take(self, step: int, sums: Metrics) -> None:
    """Accepts the sums of the steps up to this one, still on the device."""
    self.flush()
    self._pending = step, sums

  def flush(self) -> None:
    """Writes the row that waits, if one does.

    Raises:
      Diverged: its loss is not a finite number; the row is written first.
    """
    if self._pending is None:
      return
    (step, sums), self._pending = self._pending, None
    values = means(jax.tree.map(np.float64, to_host(sums)))
    now = time.perf_counter()
    rate = (step - self._last_step) * self._tokens / (now - self._last_time)
    self._last_step, self._last_time = step, now
    self._write(
      {
        'step': step,
        'split': 'train',
        'metrics': values,
        'tokens_per_second': round(rate, 1),
        'seconds': round(now - self._start, 3),
      }
    )
    if not math.isfinite(values['loss']):
      raise Diverged(
        f'step {step}: the training loss is {values["loss"]}: stopped; '
        'the checkpoints before it are kept'
      )

  def pause(self) -> None:
    """Starts the clock anew after work that was not training."""
    self._last_time = time.perf_counter()
