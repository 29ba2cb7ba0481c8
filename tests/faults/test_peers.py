"""One of two processes is gone: the other one ends in one line."""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import socket
import subprocess
import sys
import time

import pytest

from memjax.guards.stopping import Stopping, place_of
from memjax.guards.verdict import Judge, Status, Verdict
from memjax.runs import exit_codes
from memjax.runs.workdir import read_run
from tests.flags import xla_flags

TIMEOUT = 5
PATIENCE = 120  # seconds until a process counts as hanging
CHILD = """
import os, pathlib, signal, sys, time
import numpy as np
from jax.experimental import multihost_utils
from memjax.config.parallel import Parallel
from memjax.configs.base import base
from memjax.errors import ConfigError
from memjax.guards import ending, interrupts, join, phase
from memjax.runs.workdir import open_run
from tests.small import small

port, rank, fault, guilty, workdir = sys.argv[1:]
rank, guilty = int(rank), rank == guilty
ending.WAIT = PATIENCE
run = open_run(small('copy_memory', 'lstm'), pathlib.Path(workdir))

def do(name):
  if fault != name or not guilty:
    return
  time.sleep(1)  # the other one hears how far this one is
  print(fault, flush=True)
  if fault == 'kill':
    os.kill(os.getpid(), signal.SIGKILL)
  if fault == 'pause':
    os.kill(os.getpid(), signal.SIGSTOP)
  if fault in ('stuck', 'restore'):
    time.sleep(2000)
  if fault == 'raise':
    raise RuntimeError('no such thing')
  if fault == 'refuse':
    raise ConfigError('optim.learning_rate', -1.0, 'must be above 0')
  if fault == 'signal':
    os.kill(os.getpid(), signal.SIGTERM)

parallel = Parallel(**base().parallel.to_dict() | {
  'coordinator': f'127.0.0.1:{port}',
  'processes': 2,
  'process': rank,
  'timeout': TIMEOUT,
})
with interrupts.handled(), join.joined(parallel):
  do('refuse')
  with run, interrupts.Interrupts() as loop:
    phase.enter('restore')
    do('restore')
    multihost_utils.sync_global_devices('restored')
    loop.hold()
    for step in range(1, 2000):
      phase.enter('step', step)
      if step == 3:
        for name in ('kill', 'pause', 'stuck', 'raise', 'signal'):
          do(name)
      with phase.within('step'):
        multihost_utils.process_allgather(np.array(step))
      if step > 3:
        time.sleep(0.02)
      if loop.stop(step):
        break
  print('left at', step, flush=True)
"""


def start(
  fault: str, guilty: int, ranks: Sequence[int], workdir: Path
) -> list[subprocess.Popen]:
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  script = CHILD.replace('TIMEOUT', str(TIMEOUT))
  script = script.replace('PATIENCE', str(PATIENCE))
  return [
    subprocess.Popen(
      [
        *(sys.executable, '-c', script, str(port), str(rank), fault),
        *(str(guilty), str(workdir)),
      ],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=os.environ | {'XLA_FLAGS': xla_flags(devices=1)},
      cwd=Path(__file__).parents[2],
    )
    for rank in ranks
  ]


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
  ('fault', 'guilty', 'words'),
  [
    ('kill', 1, 'process 1 died; it was last heard during step at step'),
    pytest.param('kill', 0, 'process 0 died; it was last heard', marks=SLOW),
    pytest.param('pause', 1, 'process 1 was not heard for 5 sec', marks=SLOW),
    pytest.param('pause', 0, 'process 0 was not heard for 5 sec', marks=SLOW),
    pytest.param('stuck', 1, 'process 1 is stuck: no progress', marks=SLOW),
    pytest.param('restore', 1, 'no process made progress for', marks=SLOW),
    pytest.param(
      *('raise', 1, 'process 1 ended during step at step 3: no such thing'),
      marks=SLOW,
    ),
    pytest.param(
      *('raise', 0, 'process 0 ended during step at step 3: no such thing'),
      marks=SLOW,
    ),
    pytest.param(
      *('refuse', 1, 'process 1 ended during import: optim.learning_rate: -1'),
      marks=SLOW,
    ),
  ],
)
def test_the_other_process_ends_in_one_line(
  fault: str, guilty: int, words: str, tmp_path: Path
) -> None:
  processes = start(fault, guilty, (0, 1), tmp_path)
  survivor, stdout = processes[1 - guilty], processes[guilty].stdout
  stderr = processes[guilty].stderr
  try:
    assert stdout
    assert stderr
    fault_came = any(line == f'{fault}\n' for line in iter(stdout.readline, ''))
    assert fault_came, stderr.read()
    began = time.monotonic()
    _, errors = survivor.communicate(timeout=PATIENCE)
    seconds = time.monotonic() - began
  finally:
    end(processes)
  refused = fault == 'refuse'
  code = exit_codes.REFUSED if refused else exit_codes.PEER
  assert survivor.returncode == code, errors
  (line,) = [x for x in errors.splitlines() if x.startswith('memjax: ')]
  assert line.startswith(f'memjax: {words}')
  if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):  # else all is late
    assert seconds < TIMEOUT + 10
  assert 'stack trace' not in errors
  if (fault, guilty) == ('pause', 0):  # it may wake up, and has the workdir
    assert read_run(tmp_path).state == 'running'
  elif fault != 'refuse':  # which may be before the run is opened
    assert read_run(tmp_path).state == 'failed'
    if fault not in ('kill', 'raise'):  # whose connection may break first
      assert line.endswith(read_run(tmp_path).reason)


@pytest.mark.slow
@pytest.mark.parametrize('rank', [0, 1])
def test_a_process_that_nobody_joins_ends_in_one_line(
  rank: int, tmp_path: Path
) -> None:
  (process,) = start('', 0, [rank], tmp_path)
  try:
    _, errors = process.communicate(timeout=PATIENCE)
  finally:
    end([process])
  assert process.returncode == exit_codes.PEER, errors
  (line,) = errors.splitlines()
  assert line.startswith(f'memjax: process {rank} of 2: the others have not')
  assert ('process 0 must run at' in line) == (rank == 1)


@pytest.mark.slow
def test_a_signal_stops_both_at_the_same_step(tmp_path: Path) -> None:
  processes = start('signal', 1, (0, 1), tmp_path)
  try:
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
  finally:
    end(processes)
  assert [process.returncode for process in processes] == [0, 0], outputs
  last = {out.splitlines()[-1] for out, _ in outputs}
  assert len(last) == 1
  assert 3 <= int(last.pop().removeprefix('left at ')) < 1999


def end(processes: Sequence[subprocess.Popen]) -> None:
  for process in processes:
    process.kill()
    process.communicate()


def status(rank: int, moves: int, work: float, phase: str = 'step') -> Status:
  return Status(rank, phase, f'{phase} at step 3', moves, work)


def judged(seconds: range, *said: Callable[[int], Status | None]) -> list[str]:
  """The verdicts at these seconds; each process says a status or nothing."""
  judge, lines = Judge(10.0), []
  for now in seconds:
    for say in said:
      if (said_now := say(now)) is not None:
        judge.hear(said_now, now)
    if verdict := judge.verdict(now):
      lines.append(f'{now}: {verdict.line}')
  return lines


def test_processes_that_move_or_work_go_on() -> None:
  assert not judged(
    range(100), lambda t: status(0, t, 0), lambda t: status(1, t - 1, 0)
  )
  assert not judged(  # it compiles while the other one waits for it
    range(100), lambda t: status(0, 5, 0), lambda t: status(1, 4, t)
  )
  assert not judged(  # a long step on a device
    range(100), lambda t: status(0, 5, 0), lambda t: status(1, 5, 0)
  )
  done = status(1, 3, 0)._replace(done=True)
  assert not judged(range(100), lambda t: status(0, t, 0), lambda t: done)


def test_a_silent_and_a_stuck_process_are_named() -> None:
  silent = judged(
    range(100),
    lambda t: status(0, t, 0),
    lambda t: status(1, 3, 0) if t < 5 else None,
  )
  assert silent[0].startswith('15: process 1 was not heard for 10 seconds')
  silent = judged(  # it fell behind four seconds before its last word
    range(100),
    lambda t: status(0, t, 0),
    lambda t: status(1, 3, 0) if t < 9 else None,
  )
  assert silent[0].startswith('19: process 1 was not heard for 10 seconds')
  stuck = judged(
    range(100), lambda t: status(0, 5, 0), lambda t: status(1, 4, 0)
  )
  assert stuck[0].startswith('11: process 1 is stuck: no progress for 10')
  restoring = judged(
    range(100),
    lambda t: status(0, 5, 0, 'restore'),
    lambda t: status(1, 5, 0, 'restore'),
  )
  assert 'process 0 during restore at step 3, process 1' in restoring[0]


def test_a_connection_may_end_after_all_is_done() -> None:
  judge = Judge(10.0)
  judge.hear(status(1, 3, 0), 0.0)
  assert judge.lost(1) == Verdict(
    'process 1 died; it was last heard during step at step 3'
  )
  judge.hear(status(1, 3, 0)._replace(done=True), 1.0)
  assert judge.lost(1) is None


def test_all_stop_at_the_place_after_the_farthest() -> None:
  processes = [Stopping() for _ in range(3)]
  for calls, one in zip((4, 6, 5), processes, strict=True):
    assert not any(one.here(False) for _ in range(calls))
    assert one.hold()
    assert not one.hold()
  place = place_of([one.message() for one in processes])
  assert place == 7
  for calls, one in zip((4, 6, 5), processes, strict=True):
    one.agree(place)
    stops = [one.here(False) for _ in range(3)]
    assert stops.index(True) == 7 - calls - 1
  assert place_of([Stopping().message()]) is None
