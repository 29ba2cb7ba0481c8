"""Two processes with four devices each train, and are read, as one is."""

import json
import os
from pathlib import Path
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

import memjax
from tests.flags import xla_flags
from tests.small import assert_close

ROOT = Path(__file__).parents[2]
ARGS = [
  '--config=configs/copy_memory.py:lstm,quick',
  '--config.train.steps=4',
  '--config.optim.name=sgd',
]


def start(workdir: Path, devices: int, *args: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, 'launch.py', f'--workdir={workdir}', *ARGS, *args],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': xla_flags(devices)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def measured(workdir: Path) -> list[dict]:
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def run_together(
  workdir: Path, processes: int, devices: int, *args: str
) -> None:
  """Trains with this number of processes, and of devices in each."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  together = [
    f'--config.parallel.coordinator=127.0.0.1:{port}',
    f'--config.parallel.processes={processes}',
  ]
  own = [f'--config.parallel.process={i}' for i in range(processes)]
  words = [(*together, one) for one in own] if processes > 1 else [()]
  hosts = [start(workdir, devices, *args, *more) for more in words]
  for host in hosts:
    _, errors = host.communicate(timeout=300)
    assert host.returncode == 0, errors


@pytest.mark.slow
def test_two_hosts_train_as_one(tmp_path: Path) -> None:
  run_together(tmp_path / 'two', 2, 4)
  run_together(tmp_path / 'one', 1, 8)
  one, two = measured(tmp_path / 'one'), measured(tmp_path / 'two')
  assert len(one) == len(two) == 6
  for a, b in zip(one, two, strict=True):
    assert (a['step'], a['split']) == (b['step'], b['split'])
    np.testing.assert_allclose(
      list(a['metrics'].values()), list(b['metrics'].values()), rtol=1e-5
    )
  alone, both = (memjax.load(tmp_path / name) for name in ('one', 'two'))
  assert alone.step == both.step == 4
  assert_close(alone.params, both.params, 1e-5)
  assert_close(alone.carry, both.carry, 1e-5)


@pytest.mark.slow
def test_an_elastic_run_has_the_same_bits_on_any_hosts(tmp_path: Path) -> None:
  elastic = '--config.parallel.determinism=elastic'
  layouts = (1, 8), (2, 4), (4, 2)
  runs = []
  for processes, devices in layouts:
    workdir = tmp_path / f'{processes}x{devices}'
    run_together(workdir, processes, devices, elastic)
    rows = [(r['step'], r['split'], r['metrics']) for r in measured(workdir)]
    run = memjax.load(workdir)
    leaves = jax.tree.leaves((run.params, run.carry))
    runs.append((rows, [np.asarray(x).tobytes() for x in leaves]))
  assert len(runs[0][0]) == 6
  for found in runs[1:]:
    assert found == runs[0]
