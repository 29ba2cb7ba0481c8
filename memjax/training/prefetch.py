"""Host batches, placed on the devices ahead of time by a thread."""

from collections.abc import Callable, Iterable, Iterator
import functools
import queue
import threading
from typing import Any, Protocol

import jax
from jax.sharding import Mesh
import numpy as np

from memjax.config.experiment import Experiment
from memjax.guards import phase
from memjax.guards.ids import require_32_bits
from memjax.tasks.base import TRAINING, Stream
from memjax.training.parallel import place_batches
from memjax.types import HostBatch

DEPTH = 2  # host batches that wait for their call


class RowSource(Protocol):
  """What makes rows: a task, or rows with something beside them."""

  def rows(
    self, stream: Stream, step: int, row_ids: np.ndarray
  ) -> HostBatch: ...


def prefetch(
  source: RowSource,
  stream: Stream,
  mesh: Mesh,
  calls: range,
  steps_per_call: int,
  replicas: int,
) -> Iterator[HostBatch]:
  """The host batches of these calls, `(N, steps_per_call, B, ...)`.

  Args:
    source: makes the rows.
    stream: which sequence of batches.
    mesh: the devices that get them.
    calls: the first step of every call.
    steps_per_call: steps in one call.
    replicas: N; replica i reads the stream whose seed is i higher.

  Raises:
    Whatever the source raises while it makes rows.
  """

  def rows(
    first_step: int, replica_ids: range, row_ids: np.ndarray
  ) -> HostBatch:
    steps = range(first_step, first_step + steps_per_call)
    batches = [
      source.rows(stream._replace(seed=stream.seed + replica), step, row_ids)
      for replica in replica_ids
      for step in steps
    ]
    require_32_bits(batches, first_step)
    shape = len(replica_ids), len(steps)
    return jax.tree.map(
      lambda *xs: np.stack(xs).reshape(*shape, *xs[0].shape), *batches
    )

  def make(first_step: int) -> HostBatch:
    part = functools.partial(rows, first_step)
    return place_batches(
      mesh, replicas, steps_per_call, stream.batch_size, part
    )

  return in_background(make, calls)


def batches_left(
  experiment: Experiment, mesh: Mesh, step: int, end: str
) -> Iterator[HostBatch]:
  """What is still to be trained on, one host batch a call; none at an end."""
  last = step if end else experiment.train.steps
  per_call = experiment.steps_per_call(step)
  host_batches = batches_between(experiment, mesh, step, last, per_call)
  return phase.waiting('data', host_batches)


def batches_between(
  experiment: Experiment, mesh: Mesh, step: int, last: int, per_call: int
) -> Iterator[HostBatch]:
  """The training batches from one step to another, one host batch a call."""
  train = experiment.train
  stream = Stream(experiment.seed, TRAINING, train.batch_size)
  calls = range(step, last, per_call)
  return prefetch(
    experiment.task, stream, mesh, calls, per_call, train.replicas
  )


def in_background(
  make: Callable[[int], HostBatch], calls: Iterable[int]
) -> Iterator[HostBatch]:
  """`make(call)` for each call, computed by a thread while others are used."""
  ready: queue.Queue[Any] = queue.Queue(DEPTH)
  closed = threading.Event()

  def put(item: Any) -> None:
    while not closed.is_set():
      try:
        return ready.put(item, timeout=0.1)
      except queue.Full:
        continue

  def work() -> None:
    try:
      for call in calls:
        if closed.is_set():
          return
        put(make(call))
      put(None)
    except Exception as error:
      put(error)

  thread = threading.Thread(target=work, name='prefetch', daemon=True)
  thread.start()
  try:
    while (item := ready.get()) is not None:
      if isinstance(item, Exception):
        raise item
      yield item
  finally:
    closed.set()
    thread.join()
