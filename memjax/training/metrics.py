"""From sums and counts on the device to rows on the disk."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
from pathlib import Path
import time
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import require
from memjax.guards import phase
from memjax.guards.finite import Faults
from memjax.guards.ids import require_ids
from memjax.guards.nonfinite import NonFinite
from memjax.logs import hardware, metrics_file
from memjax.logs.settings import LogSettings
from memjax.logs.writers import NullWriter, Writers
from memjax.runs import processes
from memjax.training.optimisers.schedules import rates_of_steps
from memjax.training.parallel import to_host
from memjax.training.program import Program, step_flops
from memjax.training.replicas import per_replica_overrides, summary
from memjax.types import Sums

Row = dict[str, Any]


def open_writers(
  experiment: Experiment, workdir: Path, rows: Sequence[Row], run: Program
) -> contextlib.AbstractContextManager[Writers | NullWriter]:
  """The views of a run with these rows so far; only process 0 writes."""
  if not processes.is_first():
    return contextlib.nullcontext(NullWriter())
  log, wandb = experiment.log, experiment.log.wandb
  params = sum(leaf.size for leaf in jax.tree.leaves(run.abstract.params))
  settings = LogSettings(
    wandb_mode=wandb['mode'],
    wandb_project=wandb['project'],
    wandb_name=wandb['name'],
    wandb_group=wandb['group'],
    wandb_tags=tuple(filter(None, wandb['tags'].split(','))),
    tensorboard=log.tensorboard,
    total_steps=experiment.train.steps,
    best=experiment.checkpoint.best,
    parameters=params // experiment.train.replicas,
  )
  return Writers(workdir, experiment.config, settings, rows)


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


def interval_values(sums: Sums) -> dict[str, np.ndarray]:
  """The figures of an interval, `(N,)` float64, from sums on the devices."""
  return metric_values(jax.tree.map(np.float64, to_host(sums)))


def learning_rates(experiment: Experiment, after: int) -> dict[int, Any]:
  """The learning rate at each step of a training row after this step.

  A list, one rate for each replica, if they differ. All are computed at once:
  a row needs no work on the device.
  """
  optim, train, every = experiment.optim, experiment.train, experiment.log.every
  first = after + every - after % every
  steps = sorted({*range(first, train.steps, every), train.steps})
  overrides_N = per_replica_overrides(optim, train.replicas)
  rates = rates_of_steps(optim, train.steps, np.array(steps), overrides_N)
  if rates.ndim == 2 and (rates == rates[0]).all():
    rates = rates[0]
  shown = np.vectorize(lambda rate: float(f'{rate:.6g}'))(rates)
  return dict(zip(steps, shown.T.tolist(), strict=True))


class Meter:
  """Writes the row of a training interval once the device has finished it.

  A row's sums are copied out when its last step is dispatched, and read once
  the next one is: the device is never idle while the host writes.
  """

  def __init__(
    self,
    write: Callable[[Row], None],
    experiment: Experiment,
    mesh: Mesh,
    step: int,
    rows: Sequence[Row],
    nonfinite: NonFinite,
  ):
    """Starts at a step of a run, which has these rows so far."""
    self._write, self._nonfinite = write, nonfinite
    self._experiment, train = experiment, experiment.train
    self._tokens = train.replicas * train.batch_size * experiment.task.length
    now = time.perf_counter()
    self._start = now - metrics_file.total_seconds(rows)
    self._training_start = now - metrics_file.training_seconds(rows)
    self._last_step = step
    self._last_time: float | None = None  # the first interval compiles
    self._compiled = False
    self._pending: tuple[int, Sums, Faults] | None = None
    self._rates = learning_rates(experiment, step)
    peak = hardware.total_peak(mesh.devices.flat)
    self._least_seconds = step_flops(experiment) / peak if peak else None

  @property
  def diverged(self) -> dict[str, int]:
    """{seed: step} of the replicas that have stopped."""
    return self._nonfinite.diverged

  def push(self, step: int, sums: Sums, faults: Faults) -> None:
    """Takes the sums of the steps up to this one, still on the device."""
    self._pending = step, sums, faults

  @contextlib.contextmanager
  def paused(self, name: str) -> Iterator[None]:
    """Writes the pending row; then the clock is stopped in the body.

    Args:
      name: of the phase.
    """
    self.flush()
    before = time.perf_counter()
    with phase.within(name):
      yield
    paused = time.perf_counter() - before
    self._training_start += paused
    if self._last_time is not None:
      self._last_time += paused

  @contextlib.contextmanager
  def dispatching(self) -> Iterator[None]:
    """Around each call of the steps: the first compiles, which is no training.

    A call returns before the device has finished, so its time is that of
    compiling. The pending row, of the call before, is written after it.
    """
    before = time.perf_counter()
    with phase.within('step' if self._compiled else 'compile'):
      yield
    if not self._compiled:
      self._training_start += time.perf_counter() - before
      self._compiled = True
    self.flush()

  def flush(self) -> None:
    """Writes the pending row, if there is one.

    Raises:
      Diverged: no replica can go on; the row is written first.
    """
    if self._pending is None:
      return
    (step, sums, on_device), self._pending = self._pending, None
    faults = to_host(on_device)
    values = self._values(step, sums)
    now = time.perf_counter()
    row: Row = {
      'step': step,
      'split': 'train',
      'seconds': round(now - self._start, 3),
      'training_seconds': round(now - self._training_start, 3),
      'learning_rate': self._rates[step],
      **summary(values),
      **self._nonfinite.fields(faults),
    }
    if self._last_time is not None:
      pace = (step - self._last_step) / (now - self._last_time)
      row['tokens_per_second'] = round(pace * self._tokens, 1)
      if self._least_seconds is not None:
        row['mfu'] = round(pace * self._least_seconds, 4)
    memory = hardware.peak_memory()
    if memory is not None:
      row['memory'] = memory
    self._last_step, self._last_time = step, now
    self._write(row)
    self._nonfinite.report(step, faults)

  def _values(self, step: int, sums: Sums) -> dict[str, np.ndarray]:
    """The figures of the steps up to this one.

    Raises:
      ConfigError: an id is outside the vocabulary; names its place.
    """
    host: Sums = jax.tree.map(np.float64, to_host(sums))
    if host.invalid_ids.any():
      require_ids(self._experiment, range(self._last_step, step))
    return metric_values(host)
