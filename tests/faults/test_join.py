"""A CPU is split into devices before the first array, unless XLA's flag did."""

import os
import subprocess
import sys

import pytest

CODE = """
from configs.base import base
from memjax.config.parallel import Parallel
from memjax.guards.join import joined
parallel = Parallel(**base().parallel.to_dict() | {{'cpu_devices': {}}})
with joined(parallel):
  import jax
  print(len(jax.devices('cpu')))
with joined(parallel):
  pass
"""


@pytest.mark.parametrize(
  ('cpu_devices', 'flags', 'devices'),
  [
    (3, '', '3'),
    (3, '--xla_force_host_platform_device_count=2', '2'),
  ],
)
def test_the_cpu_is_split(cpu_devices: int, flags: str, devices: str) -> None:
  done = subprocess.run(
    [sys.executable, '-c', CODE.format(cpu_devices)],
    env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split() == [devices]
