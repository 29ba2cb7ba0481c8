"""Two processes save one state, agree on what is whole, and fail together."""

import os
from pathlib import Path
import socket
import subprocess
import sys

import pytest

from tests.flags import xla_flags

CHILD = """
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
jax.config.update('jax_cpu_collectives_implementation', 'gloo')
port, rank, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
jax.distributed.initialize(f'127.0.0.1:{port}', 2, rank)
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from memjax.errors import NotSaved
from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints

class State(NamedTuple):
  step: Any
  params: Any
  carry: Any

mesh = jax.make_mesh((2,), ('data',), axis_types=(AxisType.Auto,))
whole = NamedSharding(mesh, PartitionSpec())
split = NamedSharding(mesh, PartitionSpec('data'))

def make_state(step):
  make = lambda: State(
    jnp.int32(step), {'w': jnp.arange(4.0) + step}, jnp.arange(6.0) * step
  )
  return jax.jit(make, out_shardings=State(whole, {'w': whole}, split))()

target = jax.tree.map(
  lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
  make_state(0),
)
with Checkpoints(folder, keep=2) as checkpoints:
  assert checkpoints.restore(target) is None
  for step in (1, 2, 3, 3):
    checkpoints.save(make_state(step), {})
assert manifest.steps_in(folder) == [2, 3]
if rank == 0:
  (folder / '3' / 'params' / '_METADATA').unlink()
try:
  checkpoints = Checkpoints(folder, keep=2)
  restored = checkpoints.restore(target)
  wanted = make_state(2)
  assert int(restored.step) == 2
  assert (restored.params['w'] == wanted.params['w']).all()
  assert (restored.carry == wanted.carry).all()
  assert restored.carry.sharding == split
  if rank == 0:
    def full(*_):
      raise OSError(28, 'No space left on device')
    manifest.seal = full
  checkpoints.save(make_state(5), {})
  checkpoints.close()
except NotSaved as error:
  print(error)
print('end')
"""


@pytest.mark.slow
def test_two_processes_save_and_restore_as_one(tmp_path: Path) -> None:
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = str(free.getsockname()[1])
  folder = tmp_path / 'checkpoints'
  children = [
    subprocess.Popen(
      [sys.executable, '-c', CHILD, port, str(rank), str(folder)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=os.environ | {'XLA_FLAGS': xla_flags(devices=1)},
      cwd=Path(__file__).parents[2],
    )
    for rank in range(2)
  ]
  try:
    outputs = [child.communicate(timeout=60) for child in children]
  finally:
    for child in children:
      child.kill()
  reasons = ('step 5 was not saved: [Errno 28]', 'failed in another process')
  for child, (out, err), reason in zip(children, outputs, reasons, strict=True):
    assert child.returncode == 0, err
    assert reason in out
    assert out.endswith('end\n')
  assert 'step 3 is damaged' in outputs[0][1]
  assert 'damaged' not in outputs[1][1]
  assert (folder / 'damaged' / 'STEP-3').is_dir()
