"""Synchronises the processes of one run; a single process does nothing.

Every process calls these functions at the same point, except `is_first`.
"""

import os

import jax
from jax.experimental import multihost_utils
import numpy as np

from memjax.config.sections import Parallel


def connect(parallel: Parallel) -> None:
  """Joins the other hosts of the run, if it has any.

  The config's coordinator names them, or they are detected on SLURM, TPU pods
  and GKE. Must be called before the first array is created.
  """
  jax.config.update('jax_threefry_partitionable', True)
  if parallel.coordinator:
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    jax.distributed.initialize(
      parallel.coordinator, parallel.processes, parallel.process
    )
  elif _on_a_cluster():
    jax.distributed.initialize()


def _on_a_cluster() -> bool:
  env = os.environ
  slurm = int(env.get('SLURM_NTASKS', '1')) > 1 and 'SLURM_PROCID' in env
  tpu_pod = ',' in env.get('TPU_WORKER_HOSTNAMES', '')
  return slurm or tpu_pod or 'MEGASCALE_COORDINATOR_ADDRESS' in env


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
