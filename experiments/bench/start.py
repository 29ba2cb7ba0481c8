"""What it takes to start: imports, help, the list of what there is.

    python -m experiments.bench.start

Prints seconds of processes of their own, median of a few turns, and how much of
`import memjax` there is beside `import jax`.
"""

import statistics
import subprocess
import sys
import time

from experiments.bench.loop import ROOT

ROUNDS = 9
COMMANDS = {
  'python': ['-c', ''],
  'import jax': ['-c', 'import jax'],
  'import jax, memjax': ['-c', 'import jax, memjax'],
  'launch.py --help': ['launch.py', '--help'],
  'launch.py --list': ['launch.py', '--list'],
}


def seconds(arguments: list[str]) -> float:
  began = time.perf_counter()
  subprocess.run(
    [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True
  )
  return time.perf_counter() - began


def main() -> None:
  times: dict[str, list[float]] = {name: [] for name in COMMANDS}
  for _ in range(ROUNDS):
    for name, arguments in COMMANDS.items():
      times[name].append(seconds(arguments))
  for name, measured in times.items():
    print(f'| {name} | {statistics.median(measured):.2f} |')
  beside = [
    both - alone
    for both, alone in zip(
      times['import jax, memjax'], times['import jax'], strict=True
    )
  ]
  print(f'| memjax beside jax | {statistics.median(beside):.3f} |')


if __name__ == '__main__':
  main()
