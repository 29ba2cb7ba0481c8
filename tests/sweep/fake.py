"""Stands in for launch.py in a sweep: has its contract, but trains nothing.

The loss at a step is (learning_rate - 0.3)^2 + 1 / step. Like launch.py it
locks its workdir, resumes an earlier start, and ends with exit code 75 after
the step during which SIGTERM arrives; then it writes a file `stopped`.

Each start is a line of `starts`, beside the workdirs. While a file `hold` is
beside them, no step is made. With a learning rate above 0.8 it crashes at step
`optim.warmup_steps` and waits for SIGTERM before step `train.patience`. After
the last step it sleeps for `optim.final_lr_ratio` seconds.
"""

import fcntl
import json
from pathlib import Path
import signal
import sys
import time

given = dict(arg.removeprefix('--').split('=', 1) for arg in sys.argv[1:])
rate = float(given['config.optim.learning_rate'])
steps = int(given.get('config.train.steps', 3))
crash, wait = (
  int(given.get(f'config.{field}', 0)) if rate > 0.8 else 0
  for field in ('optim.warmup_steps', 'train.patience')
)
workdir = Path(given['workdir'])
metrics, hold = workdir / 'metrics.jsonl', workdir.parent / 'hold'
stop: list[bool] = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
lock = (workdir / '.lock').open('a')
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
(workdir / 'config.json').write_text(json.dumps({'train': {'steps': steps}}))
with (workdir.parent / 'starts').open('a') as starts:
  starts.write(f'{workdir.name}\n')
done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
for step in range(done + 1, steps + 1):
  while (hold.exists() or step == wait) and not stop:
    time.sleep(0.02)
  if step == crash:
    raise ArithmeticError('one over nothing')
  loss = (rate - 0.3) ** 2 + 1 / step
  row = {'step': step, 'split': 'held_out', 'metrics': {'loss': loss}}
  with metrics.open('a') as file:
    file.write(json.dumps(row) + '\n')
  if stop:
    (workdir / 'stopped').touch()
    sys.exit(75)
time.sleep(float(given.get('config.optim.final_lr_ratio', 0)))
print(f'Everything is in {workdir}')
