"""The time to start: imports, help, configs and classes, the first row.

    python -m experiments.bench.start

Prints seconds, each measured in its own process, the median of a few turns; the
seconds of `import memjax` in a process that has imported jax; and the seconds
until the quickstart has written its first row, ten steps of training, with
empty caches and with those that this leaves.
"""

import os
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import time

from experiments.bench.loop import ROOT

ROUNDS = 5
COMMANDS = {
  'import jax': ['-c', 'import jax'],
  'launch.py --help': ['launch.py', '--help'],
  'launch.py --list': ['launch.py', '--list'],
}
QUICKSTART = (
  *('launch.py', '--config=configs/quickstart.py'),
  '--config.log.every=10',
)
BESIDE = (
  'import jax, time; began = time.perf_counter(); import memjax;'
  'print(time.perf_counter() - began)'
)


def output(arguments: list[str]) -> str:
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
  ).stdout


def first_row_seconds(caches: str) -> float:
  """From the command of the quickstart to the first row of its metrics."""
  with tempfile.TemporaryDirectory() as workdir:
    began = time.perf_counter()
    process = subprocess.Popen(
      [sys.executable, *QUICKSTART, f'--workdir={workdir}'],
      cwd=ROOT,
      env=os.environ | {'MEMJAX_CACHE': caches},
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    metrics = Path(workdir, 'metrics.jsonl')
    while not (metrics.exists() and metrics.stat().st_size):
      if process.poll() is not None:
        raise SystemExit(f'the quickstart ended with {process.returncode}')
      time.sleep(0.01)
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    return seconds


def main() -> None:
  times: dict[str, list[float]] = {name: [] for name in COMMANDS}
  beside = []
  for _ in range(ROUNDS):
    for name, arguments in COMMANDS.items():
      began = time.perf_counter()
      output(arguments)
      times[name].append(time.perf_counter() - began)
    beside.append(float(output(['-c', BESIDE])))
  for name, measured in times.items():
    print(f'| {name} | {statistics.median(measured):.2f} |')
  print(f'| import memjax, after jax | {statistics.median(beside):.4f} |')
  cold, warm = [], []
  for _ in range(ROUNDS):
    with tempfile.TemporaryDirectory() as caches:
      cold.append(first_row_seconds(caches))
      warm.append(first_row_seconds(caches))
  print(f'| first row, empty caches | {statistics.median(cold):.2f} |')
  print(f'| first row, full caches | {statistics.median(warm):.2f} |')


if __name__ == '__main__':
  main()
