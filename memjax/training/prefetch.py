"""Host batches, placed on the devices ahead of time by a thread."""

from collections.abc import Callable, Iterable, Iterator
import functools
import queue
import threading
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from memjax.tasks.base import Stream, Task
from memjax.training.parallel import place_rows
from memjax.types import HostBatch

DEPTH = 2  # host batches that wait for their call


def prefetch(
  task: Task,
  stream: Stream,
  mesh: Mesh,
  calls: range,
  steps_per_call: int,
  replicas: int = 1,
) -> Iterator[HostBatch]:
  """The host batches of these calls, `(steps_per_call, B, ...)` on the devices.

  With replicas `(steps_per_call, N, B, ...)`.

  Args:
    task: what makes the rows.
    stream: which sequence of batches.
    mesh: the devices that get them.
    calls: the first step of every call.
    steps_per_call: steps in one call.
    replicas: N; replica i reads the stream whose seed is i higher.

  Raises:
    Whatever the task raises while it makes rows.
  """

  def rows(stream: Stream, first_step: int, row_ids: np.ndarray) -> HostBatch:
    steps = range(first_step, first_step + steps_per_call)
    batches = [task.rows(stream, step, row_ids) for step in steps]
    return jax.tree.map(lambda *xs: np.stack(xs), *batches)

  def streams(first_step: int, replica_ids: np.ndarray) -> HostBatch:
    whole = np.arange(stream.batch_size)
    seeds = [stream.seed + int(i) for i in replica_ids]
    batches = [rows(stream._replace(seed=s), first_step, whole) for s in seeds]
    return jax.tree.map(lambda *xs: np.stack(xs, axis=1), *batches)

  def make(first_step: int) -> HostBatch:
    if replicas == 1:
      part = functools.partial(rows, stream, first_step)
      return place_rows(mesh, steps_per_call, stream.batch_size, part)
    part = functools.partial(streams, first_step)
    return place_rows(mesh, steps_per_call, replicas, part)

  return in_background(make, calls)


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
