"""A process that is stuck ends with its stacks written, one line and a code."""

from pathlib import Path
import subprocess
import sys
import time

import pytest

from memjax.guards import phase
from memjax.runs import exit_codes

ROOT = Path(__file__).parents[2]
STUCK = """
import pathlib, sys, threading
from memjax.guards import phase
limits = {'import': 0.0, 'save': float(sys.argv[2]), 'step': 60.0}
phase.set_rank(1)
with phase.Watchdog(limits, pathlib.Path(sys.argv[1])):
  for step in range(8):
    phase.enter('save', step)
    threading.Event().wait(0.2)
  def stuck_in_a_save():
    threading.Event().wait(20)
  with phase.within('step'):
    threading.Event().wait(1.2)
  stuck_in_a_save()
"""


def run_stuck(folder: Path, limit: float) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-c', STUCK, str(folder), str(limit)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
  )


def test_a_stuck_phase_ends_in_one_line_with_all_stacks(tmp_path: Path) -> None:
  folder = tmp_path / 'a folder'
  done = run_stuck(folder, limit=1.0)
  assert done.returncode == exit_codes.STUCK
  (line,) = done.stderr.splitlines()
  assert 'process 1: save at step 7 made no progress for 1 seconds' in line
  assert 'train.limits.save' in line
  (stacks,) = folder.iterdir()
  assert stacks.name == 'stacks-1.txt', 'each process has a file of its own'
  assert str(stacks) in line
  assert 'in stuck_in_a_save' in stacks.read_text()


def test_stacks_that_cannot_be_written_change_nothing(tmp_path: Path) -> None:
  (tmp_path / 'file').write_text('')
  done = run_stuck(tmp_path / 'file', limit=1.0)
  assert done.returncode == exit_codes.STUCK
  assert len(done.stderr.splitlines()) == 1


def test_a_stopped_process_uses_no_time(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  ended = []
  watchdog = phase.Watchdog({'save': 30.0}, tmp_path)
  monkeypatch.setattr(watchdog, '_end', lambda *args: ended.append(args))
  start = time.monotonic
  monkeypatch.setattr(time, 'monotonic', lambda: start() * 1000)
  with watchdog, phase.within('save'):
    time.sleep(4 * phase.TICK)
  assert not ended


def test_phases_nest(tmp_path: Path) -> None:
  phase.enter('step', 3)
  seen = []
  for _ in phase.waiting('data', 'ab'):
    seen.append(str(phase.current()))
    with phase.within('evaluation'):
      seen.append(str(phase.current()))
  assert seen == ['step at step 3', 'evaluation at step 3'] * 2
  assert phase.limits_of({'train': {'limits': {'save': 1.0, 'x': 2}}}) == {
    'save': 1.0
  }
  assert phase.limits_of({}) == phase.limits_of({'train': 3}) == {}


def test_the_config_or_the_cluster_says_which_process_this_is(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  section = {'coordinator': 'here:1', 'process': 3}
  assert phase.rank_of({'parallel': section}) == 3
  assert phase.rank_of({'parallel': section | {'coordinator': ''}}) is None
  assert phase.rank_of({}) is phase.rank_of({'parallel': 3}) is None
  monkeypatch.setenv('SLURM_NTASKS', '4')
  monkeypatch.setenv('SLURM_PROCID', '2')
  assert phase.rank_of({}) == 2
