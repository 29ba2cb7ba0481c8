"""The time to start: imports, help, and the list of configs and classes.

    python -m experiments.bench.start

Prints seconds, each measured in its own process, the median of a few turns, and
the seconds of `import memjax` in a process that has imported jax.
"""

import statistics
import subprocess
import sys
import time

from experiments.bench.loop import ROOT

ROUNDS = 5
COMMANDS = {
  'import jax': ['-c', 'import jax'],
  'launch.py --help': ['launch.py', '--help'],
  'launch.py --list': ['launch.py', '--list'],
}
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


if __name__ == '__main__':
  main()
