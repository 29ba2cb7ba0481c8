"""The processes of one run find each other.

with join.joined(experiment.parallel):
  ...
"""

from collections.abc import Iterator
import contextlib
import json
import os
import threading
from typing import Any

import jax

from memjax.config.parallel import Parallel
from memjax.guards import ending, interrupts, link, phase
from memjax.guards.peers import Peers
from memjax.runs import exit_codes

LATER = 60  # seconds after `parallel.timeout` at which jax would end the run
DAY = 86_400_000  # milliseconds
FORCED = 'xla_force_host_platform_device_count'  # XLA's own flag goes first


@contextlib.contextmanager
def joined(parallel: Parallel) -> Iterator[None]:
  """The CPU is split, and the other processes of the run have joined.

  The config's coordinator names them, or they are detected on SLURM, TPU pods
  and GKE. Must be entered before the first array is created.
  """
  jax.config.update('jax_threefry_partitionable', True)
  if parallel.cpu_devices and FORCED not in os.environ.get('XLA_FLAGS', ''):
    jax.config.update('jax_num_cpu_devices', parallel.cpu_devices)
  if not parallel.coordinator and not on_a_cluster():
    yield
    return
  initialise(parallel)
  phase.set_rank(jax.process_index())
  peers = Peers(jax.process_index(), jax.process_count(), parallel.timeout)
  interrupts.agree_by(peers.stopping.here)
  try:
    yield
  except BaseException as error:
    peers.fail(error)
    raise
  peers.finish()


def initialise(parallel: Parallel) -> None:
  """Waits at most `parallel.timeout` for the others, then ends the process."""
  later = int(parallel.timeout) + LATER
  limits: dict[str, Any] = {
    'initialization_timeout': later,
    'heartbeat_timeout_seconds': later,
    'shutdown_timeout_seconds': later,
  }
  jax.config.update('jax_enable_preemption_service', False)  # see Stopping
  late = threading.Timer(parallel.timeout, give_up, (parallel,))
  late.daemon = True
  late.start()
  if parallel.coordinator:
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    jax.distributed.initialize(
      parallel.coordinator, parallel.processes, parallel.process, **limits
    )
  else:
    jax.distributed.initialize(**limits)
  late.cancel()


def give_up(parallel: Parallel) -> None:
  """Ends a process that the others did not join."""
  missing = 'not all processes of the run have joined'
  if parallel.coordinator:
    of = f'process {parallel.process} of {parallel.processes}'
    missing = f'{of}: the others have not joined'
  if parallel.process:
    missing += f'; process 0 must run at {parallel.coordinator}'
  ending.end(
    f'{missing} within {parallel.timeout:g} seconds (parallel.timeout) during '
    f'{phase.current()}: start all with the same coordinator',
    exit_codes.PEER,
  )


def on_a_cluster() -> bool:
  """Whether SLURM, a TPU pod or GKE has started several processes."""
  env = os.environ
  slurm = int(env.get('SLURM_NTASKS', '1')) > 1 and 'SLURM_PROCID' in env
  tpu_pod = ',' in env.get('TPU_WORKER_HOSTNAMES', '')
  return slurm or tpu_pod or 'MEGASCALE_COORDINATOR_ADDRESS' in env


def share(name: str, value: Any) -> list[Any]:
  """The values of all processes, in the order of their numbers."""
  count = jax.process_count()
  if count == 1:
    return [value]
  client, key = link.store(), f'memjax/{name}'
  client.key_value_set(f'{key}/{jax.process_index()}', json.dumps(value))
  values = (
    client.blocking_key_value_get(f'{key}/{i}', DAY) for i in range(count)
  )
  return [json.loads(value) for value in values]
