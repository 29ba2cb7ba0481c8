"""Stands in for launch.py in a sweep: keeps to its contract, trains nothing.

The loss is (x - 0.3)^2 + 1 / step. `crash` ends it at a step with a traceback;
SIGTERM is met as by launch.py, and an earlier start is gone on from.
"""

import fcntl
import json
from pathlib import Path
import signal
import sys
import time

given = dict(arg.removeprefix('--').split('=', 1) for arg in sys.argv[1:])
x, steps = float(given['x']), int(given.get('steps', 3))
workdir = Path(given['workdir'])
workdir.mkdir(exist_ok=True)
lock = (workdir / '.lock').open('a')
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as one run a workdir
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
(workdir / 'config.json').write_text(json.dumps({'train': {'steps': steps}}))
metrics = workdir / 'metrics.jsonl'
with (workdir.parent / 'starts').open('a') as starts:
  starts.write(f'{x}\n')
done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
for step in range(done + 1, steps + 1):
  time.sleep(float(given.get('seconds', 0)))
  if stop:
    print(f'stopped and saved in {workdir}: the same command goes on from here')
    sys.exit()
  if str(step) == given.get('crash') and x > 0.8:
    raise ArithmeticError('one over nothing')
  loss = (x - 0.3) ** 2 + 1 / step
  row = {'step': step, 'split': 'held_out', 'metrics': {'loss': loss}}
  with metrics.open('a') as file:
    file.write(json.dumps(row) + '\n')
print('Everything is there')
