"""Batches on their way to the device, made ahead of time by a thread."""

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

AHEAD = 2  # calls


def feeds(
  task: Task,
  stream: Stream,
  mesh: Mesh,
  calls: range,
  steps_per_call: int,
  replicas: int = 1,
) -> Iterator[HostBatch]:
  """The feeds of these calls, each `(steps_per_call, B, ...)` on the device.

  With replicas `(steps_per_call, N, B, ...)`.

  Args:
    task: what makes the rows.
    stream: which sequence of batches.
    mesh: where they go.
    calls: the first step of every call.
    steps_per_call: steps in one call.
    replicas: N; replica i reads the stream whose seed is i higher.

  Raises:
    Whatever the task raises while it makes rows.
  """

  def rows(stream: Stream, first_step: int, row_ids: np.ndarray) -> HostBatch:
    steps = range(first_step, first_step + steps_per_call)
    made = [task.rows(stream, step, row_ids) for step in steps]
    return jax.tree.map(lambda *xs: np.stack(xs), *made)

  def streams(first_step: int, replica_ids: np.ndarray) -> HostBatch:
    whole = np.arange(stream.batch_size)
    seeds = [stream.seed + int(i) for i in replica_ids]
    made = [rows(stream._replace(seed=s), first_step, whole) for s in seeds]
    return jax.tree.map(lambda *xs: np.stack(xs, axis=1), *made)

  def make(first_step: int) -> HostBatch:
    if replicas == 1:
      part = functools.partial(rows, stream, first_step)
      return place_rows(mesh, steps_per_call, stream.batch_size, part)
    part = functools.partial(streams, first_step)
    return place_rows(mesh, steps_per_call, replicas, part)

  return ahead(make, calls)


def ahead(
  make: Callable[[int], HostBatch], calls: Iterable[int]
) -> Iterator[HostBatch]:
  """What `make` makes of each, made by a thread while others are used."""
  ready: queue.Queue[Any] = queue.Queue(AHEAD)
  left = threading.Event()

  def put(item: Any) -> None:
    while not left.is_set():
      try:
        return ready.put(item, timeout=0.1)
      except queue.Full:
        continue

  def work() -> None:
    try:
      for call in calls:
        if left.is_set():
          return
        put(make(call))
      put(None)
    except Exception as error:
      put(error)

  thread = threading.Thread(target=work, name='feeds', daemon=True)
  thread.start()
  try:
    while (item := ready.get()) is not None:
      if isinstance(item, Exception):
        raise item
      yield item
  finally:
    left.set()
    thread.join()
