"""Runs one cell of the leaderboard: trains it, then measures it.

    python -m experiments.leaderboard.cell TASK/MEMORY-WIDTH --runs=DIR

Prints nothing but the log of the run, and writes `record.json` into its folder.
A cell that was stopped or killed goes on from its checkpoint when it is started
again. Without its parent process, it saves and stops.
"""

import argparse
import contextlib
import functools
import json
import os
from pathlib import Path
import signal
import sys
import threading
import time
from typing import Any

import jax

from experiments.leaderboard import config as configs
from experiments.leaderboard.grid import Cell, cell_of
from experiments.leaderboard.records import RECORD, WORKER
from experiments.leaderboard.tasks import TASKS
from memjax.analysis.state_size import state_size
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError, Diverged, Stopped
from memjax.guards import interrupts
from memjax.logs import metrics_file
from memjax.modes.evaluate import evaluate
from memjax.runs import exit_codes, heap
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.json_files import write_json
from memjax.runs.lock import InUse, lock
from memjax.runs.workdir import read_run
from memjax.training.loop import train
from memjax.training.state import initial_params

TIMES = 'processor_seconds.txt'


def main() -> int:
  """Returns the exit code, one of those of memjax."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('name')
  parser.add_argument('--runs', type=Path, required=True)
  given = parser.parse_args()
  workdir = given.runs / given.name
  heap.keep_freed_memory()
  if WORKER in os.environ:
    stay_on_one_core(int(os.environ[WORKER]))
    threading.Thread(target=stop_with_parent, daemon=True).start()
  try:
    with interrupts.handled():
      wait_until_free(workdir)
      with timed(workdir / TIMES):
        return run(cell_of(given.name), workdir)
  except Stopped as error:
    return say(error, exit_codes.STOPPED)
  except ConfigError as error:
    return say(error, exit_codes.REFUSED)
  except Diverged as error:
    return say(error, exit_codes.DIVERGED)


def say(message: object, code: int) -> int:
  print(message, file=sys.stderr)
  return code


def stay_on_one_core(worker: int) -> None:
  """Each worker has a core, so that processor seconds compare."""
  if hasattr(os, 'sched_setaffinity'):
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    os.sched_setaffinity(0, {cores[worker % len(cores)]})


def stop_with_parent() -> None:
  """Ends this process as SIGTERM does once standard input is closed.

  The parent holds the other end of the pipe, also if it is killed.
  """
  while os.read(0, 1024):
    pass
  os.kill(os.getpid(), signal.SIGTERM)


def wait_until_free(workdir: Path) -> None:
  """Waits for a process of an earlier start, which saves and stops."""
  while True:
    with contextlib.suppress(InUse), lock(workdir):
      return
    time.sleep(0.2)


@contextlib.contextmanager
def timed(path: Path) -> Any:
  """Adds the processor seconds of this start to a file, however it ends."""
  try:
    yield
  finally:
    with path.open('a') as file:
      file.write(f'{time.process_time():.3f}\n')


def run(cell: Cell, workdir: Path) -> int:
  """Trains to the end, measures the other sets, writes the record."""
  config = configs.get_config(cell.variant)
  experiment = read_experiment(config.to_dict())
  enable_compilation_cache()
  if not train(experiment, workdir, lambda *run: None):
    return exit_codes.STOPPED
  rows = metrics_file.load_evaluation_rows(workdir / 'metrics.jsonl')
  for name in configs.sets(TASKS[cell.task]).keys() - {'validation'}:
    if not any(row['split'] == name for row in rows):
      evaluate({}, workdir, set_name=name)
  spent = time.process_time() + earlier_seconds(workdir / TIMES)
  result = record(cell, experiment, workdir, spent)
  write_json(workdir / RECORD, result)
  return exit_codes.FINISHED


def earlier_seconds(path: Path) -> float:
  return sum(map(float, path.read_text().split())) if path.exists() else 0.0


def record(
  cell: Cell, experiment: Experiment, workdir: Path, spent: float
) -> dict[str, Any]:
  """What the run used and what it scored, one value per replica."""
  path = workdir / 'metrics.jsonl'
  rows = metrics_file.load_rows(path)
  validation = [row for row in rows if row['split'] == 'validation']
  other = metrics_file.load_evaluation_rows(path)
  run, settings = read_run(workdir), experiment.train
  init = functools.partial(
    initial_params, experiment.model, experiment.task, jax.random.key(0)
  )
  return {
    'learning_rates': cell.each_rate,
    'seeds': [experiment.seed + i for i in range(settings.replicas)],
    'reason': run.reason,
    'steps': run.step,
    'rows': run.step * settings.batch_size,
    'parameters': sum(p.size for p in jax.tree.leaves(jax.eval_shape(init))),
    'state_bytes': sum(state_size(experiment.model)),
    'processor_seconds': round(spent, 1),
    'training_seconds': round(metrics_file.training_seconds(rows), 1),
    'python': run.starts[-1]['python'],
    'versions': run.starts[-1]['versions'],
    'processor': run.starts[-1]['processor']['model'],
    'diverged': {
      seed: step
      for row in validation[-1:]
      for seed, step in row.get('diverged', {}).items()
    },
    'scores': {
      row['split']: finite(row['replicas']) for row in (*validation, *other)
    },
    'curve': {
      'steps': [row['step'] for row in validation],
      'replicas': finite(
        {
          name: [row['replicas'][name] for row in validation]
          for name in validation[-1]['replicas']
        }
      ),
    },
  }


def finite(values: Any) -> Any:
  """The same with null for NaN, as JSON wants it, and five digits."""
  if isinstance(values, dict):
    return {name: finite(value) for name, value in values.items()}
  if isinstance(values, list):
    return [finite(value) for value in values]
  return json.loads(f'{values:.5g}') if values == values else None


if __name__ == '__main__':
  sys.exit(main())
