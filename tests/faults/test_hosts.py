"""Processes of one run that were given different things are refused."""

import os
from pathlib import Path
import socket
import subprocess
import sys
from typing import Any

import pytest

from memjax.config.parallel import Parallel
from memjax.configs.base import base
from memjax.errors import ConfigError
from memjax.guards.hosts import compare, facts_of
from memjax.runs import exit_codes
from tests.flags import xla_flags
from tests.small import small

ROOT = Path(__file__).parents[2]


def test_the_first_field_that_differs_is_named_with_both_values(
  tmp_path: Path,
) -> None:
  facts = facts_of(small('copy_memory', 'lstm'), tmp_path)
  compare(facts, dict(facts), 1)
  changes: dict[str, Any] = {
    'optim.learning_rate': 0.5,
    'seed': 7,
    'workdir': '/elsewhere',
    'data of task': 'f00',
    'code of memjax/types.py': 'f00',
    'version of jax': '0.1',
    'XLA_FLAGS': ['--xla_cpu_enable_fast_math=true'],
    'devices': ['TPU v4'],
  }
  for field, value in changes.items():
    with pytest.raises(ConfigError) as error:
      compare(facts | {field: value}, facts, 1)
    line = str(error.value)
    assert line.startswith(f'{field}: {value!r}: is that of process 1; process')
    assert repr(facts[field]) in line
  with pytest.raises(ConfigError, match='process 0 has None'):
    compare(facts | {'task.more': 1}, facts, 1)


def test_the_number_of_the_process_may_differ(tmp_path: Path) -> None:
  one, other = (
    small(
      'copy_memory',
      'lstm',
      {
        'parallel.coordinator': 'localhost:1',
        'parallel.processes': 2,
        'parallel.process': process,
      },
    )
    for process in (0, 1)
  )
  assert facts_of(one, tmp_path) == facts_of(other, tmp_path)


@pytest.mark.slow
def test_both_processes_are_refused_before_a_compile(tmp_path: Path) -> None:
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  hosts = [
    subprocess.Popen(
      [
        *(sys.executable, 'launch.py', f'--workdir={tmp_path}'),
        '--config=configs/copy_memory.py:lstm,quick',
        f'--config.parallel.coordinator=127.0.0.1:{port}',
        '--config.parallel.processes=2',
        f'--config.parallel.process={i}',
        f'--config.optim.learning_rate={rate}',
      ],
      cwd=ROOT,
      env=os.environ | {'XLA_FLAGS': xla_flags(1)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i, rate in enumerate((0.01, 0.02))
  ]
  outputs = [host.communicate(timeout=120) for host in hosts]
  words = 'optim.learning_rate: 0.02: is that of process 1; process 0 has 0.01'
  for host, (_, errors) in zip(hosts, outputs, strict=True):
    assert host.returncode == exit_codes.REFUSED, errors
    (line,) = errors.splitlines()
    assert line.startswith('memjax: ')
    assert words in line
  assert not (tmp_path / 'config.json').exists()


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'coordinator': 'nowhere'}, "coordinator: 'nowhere': must be HOST:PORT"),
    ({'processes': 2}, 'processes: 2: needs parallel.coordinator'),
    ({'process': 5}, 'process: 5: must be below parallel.processes, 0'),
    ({'timeout': 0.0}, 'timeout: 0.0: must be at least 1'),
    ({'determinism': 'full'}, "determinism: 'full': must be one of fixed,"),
  ],
)
def test_a_section_that_cannot_be_is_refused(
  changes: dict[str, Any], words: str
) -> None:
  section = base().parallel.to_dict()
  assert Parallel(**section)
  with pytest.raises(ConfigError) as error:
    Parallel(**section | changes)
  assert str(error.value).startswith(words)
