"""The process of one competitor: takes a turn at each line it is sent.

    python -m experiments.bench.peers.worker RACE COMPETITOR CORES [malloc]

It says what it is in one line of JSON, then answers each `turn` with the
seconds of a step, and the end of its input with its memory.
"""

import json
import math
import os
from pathlib import Path
import sys
import time

from memjax.runs.heap import keep_freed_memory

LEAST_SECONDS = 0.2  # of a turn; shorter steps are repeated


def memory_mb(field: str) -> float:
  """`VmHWM`, the most so far, or `VmRSS`, now."""
  for line in Path('/proc/self/status').read_text().splitlines():
    if line.startswith(f'{field}:'):
      return int(line.split()[1]) / 1024
  return math.nan


def main() -> None:
  race, name, cores = sys.argv[1], sys.argv[2], int(sys.argv[3])
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
  if sys.argv[4:] == ['malloc']:
    keep_freed_memory()
  from experiments.bench.peers.__main__ import RACES

  row = RACES[race]
  if name == 'memjax':
    rival = row.ours()
  else:
    import torch

    torch.set_num_threads(cores)
    torch.manual_seed(0)
    rival = row.theirs[name]()
  before = memory_mb('VmHWM')
  losses = [rival.step() for _ in range(2)]
  begin = time.perf_counter()
  losses.append(rival.step())
  steps = math.ceil(LEAST_SECONDS / (time.perf_counter() - begin))
  about = {'parameters': rival.parameters, 'version': rival.version}
  print(json.dumps(about | {'losses': losses}), flush=True)
  for _ in sys.stdin:
    wall, busy = time.perf_counter(), time.process_time()
    for _ in range(steps):
      rival.step()
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    seconds = busy if cores == 1 else wall
    print(json.dumps(seconds / steps), flush=True)
  print(json.dumps([memory_mb('VmHWM'), memory_mb('VmRSS'), before]))


if __name__ == '__main__':
  main()
