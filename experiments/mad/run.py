"""The MAD benchmark of one memory: six tasks, each at several difficulties.

    python -m experiments.mad.run delta_net [--tasks=compression] [--steps=2000]

Each cell is a task with one field changed. It is trained at three learning
rates, side by side as replicas, and two weight decays, one run each. A cell's
score is the accuracy of the best of the six, a task's the mean over its cells.
The table is scores.csv in the folder of the runs. The same command resumes.
"""

import argparse
from collections.abc import Iterator, Sequence
import csv
from pathlib import Path
import statistics
import subprocess
import sys
from typing import Any, NamedTuple

from memjax.configs.mad import TASKS
from memjax.configs.models import MODELS
from memjax.logs import metrics_file

RATES = (1e-4, 5e-4, 1e-3)
DECAYS = (0.0, 0.1)
LENGTHS: dict[str, tuple] = {'length': (256, 512, 1024)}
VOCABS: dict[str, tuple] = {'vocab': (32, 64, 128)}
CHANGES: dict[str, dict[str, tuple]] = {
  'in_context_recall': VOCABS | LENGTHS,
  'fuzzy_recall': VOCABS | LENGTHS,
  'noisy_recall': {'vocab': (48, 80, 144)}
  | LENGTHS
  | {'noise': (0.4, 0.6, 0.8)},
  'selective_copy': VOCABS | {'length': (512, 1024), 'symbols': (32, 64, 96)},
  'compression': VOCABS | {'length': (64, 128, 256)},
  'memorization': {'vocab': (512, 1024, 2048, 4096, 8192)},
}


class Cell(NamedTuple):
  """A task with at most one field changed; no field: the base settings."""

  task: str
  field: str = ''
  value: float = 0

  @property
  def name(self) -> str:
    return f'{self.field}_{self.value}' if self.field else 'base'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('model', choices=MODELS, metavar='MODEL')
  parser.add_argument('--tasks', nargs='*', default=list(TASKS), choices=TASKS)
  parser.add_argument('--runs', type=Path, default=Path('runs/mad'))
  parser.add_argument('--steps', type=int, default=0, help="0: the config's")
  given = parser.parse_args()
  runs = given.runs / given.model
  grid = list(cells(given.tasks))
  for number, cell in enumerate(grid, 1):
    for decay in DECAYS:
      subprocess.run(
        command(cell, given.model, decay, runs, given.steps), check=True
      )
    score = best_accuracy(cell, runs)
    print(f'{number}/{len(grid)} {cell.task} {cell.name}: {score:.4f}')
  write_scores(runs, grid)


def cells(tasks: Sequence[str]) -> Iterator[Cell]:
  """The base settings of each task, then its changes."""
  for task in tasks:
    yield Cell(task)
    for field, values in CHANGES[task].items():
      for value in values:
        yield Cell(task, field, value)


def folder(cell: Cell, decay: float, runs: Path) -> Path:
  return runs / cell.task / cell.name / f'decay_{decay}'


def command(
  cell: Cell, model: str, decay: float, runs: Path, steps: int
) -> list[str]:
  """What trains a cell at all learning rates and one weight decay."""
  settings: dict[str, Any] = {
    'train.replicas': len(RATES),
    'optim.per_replica': f'learning_rate={",".join(map(str, RATES))}',
    'optim.weight_decay': decay,
    'log.wandb.mode': 'disabled',
  }
  if cell.field:
    settings[f'task.{cell.field}'] = cell.value
  if steps:
    settings |= {
      'train.steps': steps,
      'evals.held_out.every': steps,
      'checkpoint.every': steps,
    }
  return [
    *(sys.executable, 'launch.py'),
    f'--config=configs/mad.py:{cell.task}-{model}',
    f'--workdir={folder(cell, decay, runs)}',
    *(f'--config.{name}={value}' for name, value in settings.items()),
  ]


def best_accuracy(cell: Cell, runs: Path) -> float:
  """The highest last accuracy over learning rates and weight decays."""
  found = []
  for decay in DECAYS:
    path = folder(cell, decay, runs) / 'metrics.jsonl'
    rows = [r for r in metrics_file.load_rows(path) if r['split'] == 'held_out']
    found += rows[-1]['replicas']['accuracy']
  return max(found)


def write_scores(runs: Path, grid: Sequence[Cell]) -> None:
  """Writes and prints the score of each task, and their mean."""
  scores: dict[str, list[float]] = {}
  for cell in grid:
    scores.setdefault(cell.task, []).append(best_accuracy(cell, runs))
  means = {task: statistics.mean(values) for task, values in scores.items()}
  means['mean'] = statistics.mean(means.values())
  with (runs / 'scores.csv').open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(('task', 'score'))
    writer.writerows(means.items())
  for task, score in means.items():
    print(f'{task}: {score:.4f}')


if __name__ == '__main__':
  main()
