"""Kills real training processes and compares them with an uninterrupted run,
row by row, bit by bit.

    python -m experiments.resume.kill --kills=10
    python -m experiments.resume.kill --kills=10 --signal=TERM

Prints a line per kill and, at the end, the number of equal rows. After SIGTERM
or Ctrl-C (INT) a process must end within ten seconds, with the exit code of a
stop and with every step saved.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time

from memjax.runs import exit_codes
from memjax.runs.workdir import read_run

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 900  # seconds a process may take before it counts as stuck
PATIENCE = 10  # seconds that a process may take to save and end
RUNS = {
  'LSTM on MQAR': [
    '--config=configs/mqar.py:lstm,quick',
    '--config.train.steps=60',
    '--config.checkpoint.every=4',
    '--config.evals.held_out.every=10',
    '--config.parallel.data=1',
  ],
  'Transformer-XL on text': [
    '--config=configs/quickstart.py:transformer_xl,quick',
    '--config.train.steps=60',
    '--config.checkpoint.every=4',
    '--config.evals.validation.every=10',
    '--config.parallel.data=1',
  ],
}


def start(args: Sequence[str], workdir: Path) -> subprocess.Popen:
  """Starts a training process."""
  command = [sys.executable, 'launch.py', f'--workdir={workdir}', *args]
  return subprocess.Popen(
    command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
  )


def finish(args: Sequence[str], workdir: Path) -> None:
  """Runs to the end; the exit code must be 0."""
  process = start(args, workdir)
  _, errors = process.communicate(timeout=LIMIT)
  if process.returncode:
    raise RuntimeError(f'exit code {process.returncode}: {errors.decode()}')


def kill_after(args: Sequence[str], workdir: Path, rows: int) -> int:
  """Kills with -9 once this number of rows is written; returns the number."""
  process = start(args, workdir)
  wait_for(process, workdir, rows)
  process.kill()
  process.communicate()
  return written(workdir)


def stop_after(
  args: Sequence[str], workdir: Path, rows: int, number: signal.Signals
) -> int:
  """As `kill_after`, by SIGTERM or Ctrl-C; requires that nothing is lost."""
  process = start(args, workdir)
  wait_for(process, workdir, rows)
  wait_for_first_line(process)
  process.send_signal(number)
  _, errors = process.communicate(timeout=PATIENCE)
  code, steps = process.returncode, [step for step, *_ in measured(workdir)]
  saved = read_run(workdir).step
  if code not in (exit_codes.STOPPED, exit_codes.FINISHED):
    raise RuntimeError(f'exit code {code}: {errors.decode()}')
  if saved < max([0, *steps]):
    raise RuntimeError(f'step {saved} is saved, of {steps[-1]}')
  return written(workdir)


def wait_for_first_line(process: subprocess.Popen) -> None:
  """Waits until a process handles signals, or has ended."""
  while process.poll() is None and not handles_signals(process.pid):
    time.sleep(0.002)


def handles_signals(pid: int) -> bool:
  """Whether a process has come to its first line."""
  lines = Path(f'/proc/{pid}/status').read_text().splitlines()
  (caught,) = [line.split()[1] for line in lines if line.startswith('SigCgt')]
  return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def wait_for(process: subprocess.Popen, workdir: Path, rows: int) -> None:
  """Waits until this number of rows is written or the process has ended."""
  began = time.monotonic()
  while process.poll() is None and written(workdir) < rows:
    if time.monotonic() - began > LIMIT:
      process.kill()
      raise RuntimeError(f'no {rows} rows in {LIMIT} s')
    time.sleep(0.002)


def written(workdir: Path) -> int:
  """Rows in the workdir's metrics.jsonl."""
  path = workdir / 'metrics.jsonl'
  return path.read_bytes().count(b'\n') if path.exists() else 0


def measured(workdir: Path) -> list[tuple[int, str, dict[str, float]]]:
  """The measured figures in order, without the times."""
  path = workdir / 'metrics.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  rows = [json.loads(line) for line in lines]
  return [(r['step'], r['split'], r['metrics']) for r in rows]


def trial(
  args: Sequence[str],
  folder: Path,
  kills: int,
  draw: random.Random,
  number: signal.Signals = signal.SIGKILL,
) -> tuple[int, int]:
  """Compares an uninterrupted run with one that is killed again and again.

  Four of five kills come after progress: after more rows than at the last kill.
  The others come at any row.

  Returns:
    The number of equal rows, and the number of rows of the uninterrupted run.
  """
  unbroken, broken = folder / 'unbroken', folder / 'broken'
  finish(args, unbroken)
  rows = written(unbroken)
  reached = 0
  for kill in range(kills):
    share = (rows - reached) // (kills - kill + 1)
    progress = reached + draw.randint(1, max(share, 1))
    wanted = progress if draw.random() < 0.8 else draw.randint(0, reached)
    if number == signal.SIGKILL:
      count = kill_after(args, broken, wanted)
    else:
      count = stop_after(args, broken, wanted, number)
    print(f'  kill {kill + 1}: {count} of {rows} rows written', flush=True)
    reached = max(reached, min(count, rows - 1))
  finish(args, broken)
  expected, found = measured(unbroken), measured(broken)
  if len(expected) != len(found):
    return 0, len(expected)
  equal = sum(a == b for a, b in zip(expected, found, strict=True))
  return equal, len(expected)


def main() -> None:
  """Runs the trials."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kills', type=int, default=5, help='kills a run')
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument('--signal', choices=('KILL', 'TERM', 'INT'))
  parser.set_defaults(signal='KILL')
  options = parser.parse_args()
  number = signal.Signals[f'SIG{options.signal}']
  draw = random.Random(options.seed)
  for name, args in RUNS.items():
    print(f'{name}: {options.kills} times SIG{options.signal}')
    with tempfile.TemporaryDirectory() as folder:
      equal, rows = trial(args, Path(folder), options.kills, draw, number)
    print(f'  {equal} of {rows} rows equal, bit for bit')


if __name__ == '__main__':
  main()
