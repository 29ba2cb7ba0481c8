"""What the processes of one run agree on; of a lone process, nothing to do.

All but `is_first` are called by every process at the same point.
"""

import jax
from jax.experimental import multihost_utils
import numpy as np


def is_first() -> bool:
  """Whether this process does the work that is done once."""
  return jax.process_index() == 0


def meet(name: str) -> None:
  """Waits until all processes are here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def anywhere(flag: bool) -> bool:
  """Whether the flag is up in any process."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).any())


def from_first(value: int) -> int:
  """The first process's value."""
  if jax.process_count() == 1:
    return value
  return int(multihost_utils.broadcast_one_to_all(np.int32(value)))
