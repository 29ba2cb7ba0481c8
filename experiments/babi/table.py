"""The table of the runs in runs/babi, in Markdown.

    python -m experiments.babi.table [--runs=runs/babi]

Each figure is the test error of one model on one task in per cent: of the seed
with the lowest training loss, as the paper picks its runs, and in brackets the
median and the least over all seeds.
"""

import argparse
from pathlib import Path

import numpy as np

from memjax.logs import metrics_file

TASKS = range(1, 21)
FAILED = 5.0  # per cent of error, from which on a task counts as failed


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/babi'))
  runs = parser.parse_args().runs
  models = sorted(path.name for path in runs.iterdir())
  errors = {
    model: [read(runs / model / str(t)) for t in TASKS] for model in models
  }
  print(f'| task | {" | ".join(models)} |')
  print(f'|---|{"---|" * len(models)}')
  for task in TASKS:
    cells = [cell(errors[model][task - 1]) for model in models]
    print(f'| {task} | {" | ".join(cells)} |')
  for name, of in (('mean error', mean), ('failed tasks', failed)):
    print(f'| {name} | {" | ".join(of(errors[m]) for m in models)} |')


def read(workdir: Path) -> tuple[float, np.ndarray] | None:
  """The chosen seed's test error and all seeds', per cent; None: unfinished."""
  rows = {
    row['split']: row for row in metrics_file.read(workdir / 'metrics.jsonl')
  }
  if 'test' not in rows:
    return None
  losses = np.array(rows['fitted']['replicas']['loss'])
  errors = 100 * (1 - np.array(rows['test']['replicas']['accuracy']))
  return float(errors[np.nanargmin(losses)]), errors


def cell(found: tuple[float, np.ndarray] | None) -> str:
  """One figure and its spread."""
  if found is None:
    return 'not run'
  chosen, errors = found
  return f'{chosen:.1f} ({np.median(errors):.1f}, {errors.min():.1f})'


def mean(column: list[tuple[float, np.ndarray] | None]) -> str:
  """Of the tasks that were run: of chosen seeds, of medians, of the least."""
  there = [found for found in column if found is not None]
  if not there:
    return 'none'
  chosen = np.mean([c for c, _ in there])
  median = np.mean([np.median(e) for _, e in there])
  least = np.mean([e.min() for _, e in there])
  figures = f'{chosen:.1f} ({median:.1f}, {least:.1f})'
  return (
    figures if len(there) == len(TASKS) else f'{figures}, {len(there)} tasks'
  )


def failed(column: list[tuple[float, np.ndarray] | None]) -> str:
  """How many tasks the chosen seeds failed, of those run."""
  there = [found for found in column if found is not None]
  return f'{sum(c > FAILED for c, _ in there)} of {len(there)}'


if __name__ == '__main__':
  main()
