"""SIGTERM and Ctrl-C, from the first line of `main` to the last."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from experiments.resume.kill import LIMIT, RUNS, measured, start, wait_for
from memjax import load
from memjax.guards import interrupts
from memjax.logs import metrics_file
from memjax.runs import exit_codes, manifest
from memjax.runs.workdir import read_run
from memjax.training.loop import train
from tests.small import small

ROOT = Path(__file__).parents[2]
LONG = [*RUNS['LSTM on MQAR'], '--config.train.steps=100000']
SETTINGS: dict[str, Any] = {
  'parallel.data': 1,
  'train.steps': 4,
  'checkpoint.every': 4,
  'checkpoint.best': 'held_out/accuracy',
  'checkpoint.best_is': 'max',
  'evals.held_out.every': 2,
  'evals.held_out.steps': 10,  # two dispatches
}


def end(process: subprocess.Popen) -> list[str]:
  """The lines of standard error of a process that does not go on."""
  try:
    _, errors = process.communicate(timeout=LIMIT)
  finally:
    process.kill()
  assert process.returncode == exit_codes.STOPPED, errors.decode()
  return errors.decode().splitlines()


CONFIG = """
import pathlib, time
def get_config():
  pathlib.Path('reads').touch()
  time.sleep(2000)
"""


def test_while_the_config_is_read_a_signal_ends_the_process(
  tmp_path: Path,
) -> None:
  (tmp_path / 'slow.py').write_text(CONFIG)
  process = subprocess.Popen(
    [sys.executable, '-m', 'memjax', '--config=slow.py'],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  while not (tmp_path / 'reads').exists():
    assert process.poll() is None
    time.sleep(0.01)
  process.send_signal(signal.SIGINT)
  assert end(process) == ['memjax: stopped by Ctrl-C during import']


RESTORES = """
import sys, time
from memjax.__main__ import main
from memjax.training import loop
def newest_state(*_):
  print('restores', flush=True)
  time.sleep(2000)
loop.newest_state = newest_state
sys.exit(main())
"""


@pytest.mark.slow
def test_before_the_first_step_a_signal_ends_the_run(tmp_path: Path) -> None:
  process = subprocess.Popen(
    [sys.executable, '-c', RESTORES, f'--workdir={tmp_path}', *LONG],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  assert process.stdout
  while process.stdout.readline() != b'restores\n':
    assert process.poll() is None
  process.terminate()
  line = 'stopped by SIGTERM during restore'
  assert end(process) == [f'memjax: {line}']
  record = read_run(tmp_path)
  assert (record.state, record.step, record.reason) == ('stopped', 0, line)
  assert not (tmp_path / 'metrics.jsonl').exists()


@pytest.mark.slow
def test_a_second_signal_saves_all_the_same(tmp_path: Path) -> None:
  process = start(LONG, tmp_path)
  wait_for(process, tmp_path, rows=3)
  process.send_signal(signal.SIGSTOP)  # so that the two come at one moment
  process.send_signal(signal.SIGINT)
  process.terminate()
  process.send_signal(signal.SIGCONT)
  line = 'memjax: saves and stops; a third signal ends without saving'
  assert end(process) == [line]
  *_, (step, _, _) = measured(tmp_path)
  assert load(tmp_path).step == step
  assert read_run(tmp_path)[:2] == ('stopped', step)


CHILD = """
import hashlib, sys, time
from memjax.guards import interrupts
with interrupts.handled(), interrupts.Interrupts() as loop:
  if sys.argv[1] == 'holds':
    loop.hold()
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)  # signals wait, as in XLA
"""


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('state', 'signals', 'line'),
  [
    ('holds', 3, 'stopped by a third SIGTERM: steps since the last save'),
    ('ends', 1, 'stopped by SIGTERM'),
  ],
)
def test_a_process_that_is_not_in_python_ends(
  state: str, signals: int, line: str
) -> None:
  process = subprocess.Popen(
    [sys.executable, '-c', CHILD, state],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    cwd=ROOT,
  )
  assert process.stdout
  process.stdout.readline()
  begun = processor_seconds(process)
  while processor_seconds(process) < begun + 0.2:
    time.sleep(0.01)
  for _ in range(signals):
    process.terminate()
    while is_pending(process, signal.SIGTERM):
      time.sleep(0.01)
  *earlier, last = end(process)
  assert last.startswith(f'memjax: {line}')
  assert [x for x in earlier if 'a third signal ends' in x] == earlier
  assert len(earlier) == signals // 2


def processor_seconds(process: subprocess.Popen) -> float:
  fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2]
  user, system = fields.split()[11:13]
  return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def is_pending(process: subprocess.Popen, number: signal.Signals) -> bool:
  """Whether a signal has not reached the process yet."""
  try:
    lines = Path(f'/proc/{process.pid}/status').read_text().splitlines()
  except FileNotFoundError:
    return False
  (mask,) = [line.split()[1] for line in lines if line.startswith('ShdPnd')]
  return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.slow
def test_an_evaluation_stops_between_batches_and_is_made_up_for(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('copy_memory', 'lstm', SETTINGS)

  def run(workdir: Path) -> bool:
    return train(experiment, workdir, lambda *run: None)

  assert run(tmp_path / 'whole')
  check, batches = interrupts.check, []

  def check_and_kill() -> None:
    batches.append(1)
    if len(batches) == 2:
      os.kill(os.getpid(), signal.SIGTERM)
    check()

  monkeypatch.setattr(interrupts, 'check', check_and_kill)
  assert not run(tmp_path / 'parts')
  assert len(batches) == 2
  assert load(tmp_path / 'parts').step == 2
  monkeypatch.undo()
  assert run(tmp_path / 'parts')
  parts, whole = (
    metrics_file.load_rows(tmp_path / name / 'metrics.jsonl')
    for name in ('parts', 'whole')
  )
  for name in ('step', 'split', 'metrics'):
    assert [row[name] for row in parts] == [row[name] for row in whole]
  saved = manifest.manifests_in(tmp_path / 'parts' / 'checkpoints')
  assert 'held_out/accuracy' in saved[2].metrics
