"""Synchronises the processes of one run; a single process does nothing.

Every process calls these functions at the same point, except `is_first`.
"""

import jax
from jax.experimental import multihost_utils
import numpy as np


def is_first() -> bool:
  """Whether this process does the work that is done once."""
  return jax.process_index() == 0


def barrier(name: str) -> None:
  """Waits until every process has reached the barrier of this name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
  """Whether the flag is true in any process."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).any())


def broadcast(value: int) -> int:
  """The first process's value."""
  if jax.process_count() == 1:
    return value
  return int(multihost_utils.broadcast_one_to_all(np.int32(value)))
