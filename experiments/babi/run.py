"""Trains memories on the bAbI tasks, one run for each task and model.

    python -m experiments.babi.run --path=FOLDER [MODEL ...]

A run is all seeds of one model on one task, in one program, kept in
runs/babi/MODEL/TASK. Finished runs stay, and the same command resumes. A run
that fails is one line, and the others continue.
`python -m experiments.babi.table` makes the table.
"""

import argparse
import dataclasses
from pathlib import Path
import time

from ml_collections import ConfigDict
import numpy as np

from memjax.config.reader import read_experiment
from memjax.configs import babi
from memjax.errors import ConfigError, Diverged
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.tasks.base import Stream, Task
from memjax.training.loop import train

RUNS = Path('runs/babi')
QUESTIONS = 32  # in a step, as near as whole rows allow


@dataclasses.dataclass(frozen=True)
class Budget:
  """How long a model is trained.

  Attributes:
    epochs: of training.
    linear: epochs of linear start before them.
    seeds: number of seeds.
  """

  epochs: int = 100
  linear: int = 0
  seeds: int = 3


BUDGETS = {'memn2n': Budget(linear=20, seeds=10)}
OTHERS = ('lstm', 'gru', 'transformer_xl', 'entnet', 'dnc')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('models', nargs='*', default=[*BUDGETS, *OTHERS])
  parser.add_argument('--path', required=True, help='the folder of qa*.txt')
  parser.add_argument('--tasks', default=','.join(map(str, range(1, 21))))
  parser.add_argument('--runs', type=Path, default=RUNS)
  given = parser.parse_args()
  enable_compilation_cache()
  for model in given.models:
    for task in given.tasks.split(','):
      began = time.perf_counter()
      try:
        run(model, task, given.path, given.runs / model / task)
      except (ConfigError, Diverged, OSError) as error:
        print(f'{model} on task {task} failed: {error}', flush=True)
      minutes = (time.perf_counter() - began) / 60
      print(f'{model} on task {task}: {minutes:.1f} minutes', flush=True)


def run(model: str, task: str, path: str, workdir: Path) -> None:
  """Trains one model on one task, after a linear start if it has one."""
  budget = BUDGETS.get(model, Budget())
  config = configured(model, task, path)
  config.train.replicas = budget.seeds
  epoch = config.train.steps_per_call
  if budget.linear:
    start = config.copy_and_resolve_references()
    start.model.linear = True
    start.optim.update(
      learning_rate=config.optim.learning_rate / 2,
      schedule='constant',
    )
    start.optim.schedule_options = ConfigDict()
    span(start, budget.linear * epoch)
    linear = workdir.with_name(f'{workdir.name}-linear')
    reach_the_end(start, linear)
    config.train.init_from = str(linear)
  span(config, budget.epochs * epoch)
  reach_the_end(config, workdir)


def reach_the_end(config: ConfigDict, workdir: Path) -> None:
  """Trains to the end. A run that is interrupted ends the study."""
  if not train(read_experiment(config.to_dict()), workdir, lambda *run: None):
    print(f'stopped and saved in {workdir}: the same command resumes')
    raise SystemExit(exit_codes.STOPPED)


def configured(model: str, task: str, path: str) -> ConfigDict:
  """The family's config for one task of the released files."""
  config = babi.get_config(model).unlock()
  config.task.update(source='archive', path=path, tasks=task)
  config.parallel.data = 1
  config.log.wandb.mode = 'disabled'
  trained: Task = read_experiment(config.to_dict()).task
  rows = trained.epoch_steps(1)
  whole = trained.rows(Stream(0, 1, rows), 0, np.arange(rows))
  batch = max(round(QUESTIONS * rows / whole.loss_weights_BT.sum()), 1)
  epoch = trained.epoch_steps(batch)
  config.train.update(batch_size=batch, steps_per_call=epoch)
  config.optim.schedule_options.halve_every = 25 * epoch
  evaluated = dict(config.evals.test)
  config.evals = ConfigDict(
    {
      'fitted': evaluated | {'task': {'split': 'train'}},
      'validation': evaluated | {'task': {'split': 'validation'}},
      'test': evaluated | {'task': {'split': 'test'}},
    }
  )
  return config


def span(config: ConfigDict, steps: int) -> None:
  """Sets the number of steps; measures and saves at the end."""
  tenth = steps // 10
  config.train.steps = steps
  config.log.every = tenth
  config.checkpoint.update(every=steps, best='', keep=1)
  for evaluation in config.evals.values():
    evaluation.every = steps


if __name__ == '__main__':
  main()
