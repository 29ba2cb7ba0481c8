"""The table of the runs in runs/babi, in Markdown.

    python -m experiments.babi.table [--runs=runs/babi]

Each figure is the test error of one model on one task in percent: of the seed
with the lowest training loss, as in the paper, and in brackets the median and
the minimum over all seeds.
"""

import argparse
from pathlib import Path

import numpy as np

from memjax.logs import metrics_file

TASKS = range(1, 21)
FAILED = 5.0  # percent of error above which a task counts as failed


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/babi'))
  runs = parser.parse_args().runs
  models = sorted(path.name for path in runs.iterdir())
  errors = {
    model: [read_errors(runs / model / str(t)) for t in TASKS]
    for model in models
  }
  print(f'| task | {" | ".join(models)} |')
  print(f'|---|{"---|" * len(models)}')
  for task in TASKS:
    cells = [cell(errors[model][task - 1]) for model in models]
    print(f'| {task} | {" | ".join(cells)} |')
  for name, of in (('mean error', mean), ('failed tasks', failed)):
    print(f'| {name} | {" | ".join(of(errors[m]) for m in models)} |')


def read_errors(workdir: Path) -> tuple[float, np.ndarray] | None:
  """Test errors in percent, the reported seed's and all; None: unfinished."""
  rows = {
    row['split']: row
    for row in metrics_file.load_rows(workdir / 'metrics.jsonl')
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
  """Mean over the finished tasks: reported seeds, medians, minima."""
  finished = [found for found in column if found is not None]
  if not finished:
    return 'none'
  chosen = np.mean([c for c, _ in finished])
  median = np.mean([np.median(e) for _, e in finished])
  least = np.mean([e.min() for _, e in finished])
  figures = f'{chosen:.1f} ({median:.1f}, {least:.1f})'
  return (
    figures
    if len(finished) == len(TASKS)
    else f'{figures}, {len(finished)} tasks'
  )


def failed(column: list[tuple[float, np.ndarray] | None]) -> str:
  """The number of finished tasks that the reported seeds failed."""
  finished = [found for found in column if found is not None]
  return f'{sum(c > FAILED for c, _ in finished)} of {len(finished)}'


if __name__ == '__main__':
  main()
