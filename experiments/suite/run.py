"""Runs the suite cell by cell and writes one tidy table of all results.

    python -m experiments.suite.run [STUDY ...] [--runs=runs/suite]

Each cell runs in its own process. Finished cells stay, and the same command
resumes, also in the middle of a cell. A cell that crashes is a row of the table
with its error; the next command tries it again. The table is results.csv in the
folder of the runs, with one line for each replica and figure.
"""

import argparse
from collections.abc import Iterator, Sequence
import csv
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

import numpy as np

from experiments.suite.cell import RESULT, RUNS
from experiments.suite.grid import STUDIES, Cell, cells

COLUMNS = (
  *('study', 'task', 'model', 'width', 'learning_rate', 'seed', 'steps'),
  *('seconds', 'parameters', 'state_bytes', 'split', 'metric', 'value'),
  'error',
)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('studies', nargs='*', default=list(STUDIES))
  parser.add_argument('--runs', type=Path, default=RUNS)
  given = parser.parse_args()
  unknown = set(given.studies) - set(STUDIES)
  if unknown:
    parser.error(f'no study {min(unknown)}; known: {", ".join(STUDIES)}')
  grid = cells(given.studies)
  began = time.monotonic()
  todo = [c for c in grid if not (given.runs / c.name / RESULT).exists()]
  print(f'{len(grid)} cells, {len(grid) - len(todo)} of them finished')
  for number, cell in enumerate(todo, 1):
    outcome = attempt(cell, given.runs)
    spent = time.monotonic() - began
    left = spent / number * (len(todo) - number) / 60
    print(
      f'{number}/{len(todo)} {cell.name}: {outcome}; about {left:.0f} min left',
      flush=True,
    )
    write_table(given.runs, grid)


def attempt(cell: Cell, runs: Path) -> str:
  """Runs the cell in its own process; returns its outcome in one line."""
  workdir = runs / cell.name
  workdir.mkdir(parents=True, exist_ok=True)
  command = [sys.executable, '-m', 'experiments.suite.cell', cell.name]
  with (workdir / 'output.txt').open('w') as output:
    done = subprocess.run(
      [*command, f'--runs={runs}'], stdout=output, stderr=subprocess.STDOUT
    )
  error = workdir / 'error.txt'
  if done.returncode:
    lines = (workdir / 'output.txt').read_text().split('\n')
    last = next((line for line in reversed(lines) if line.strip()), '')
    error.write_text(f'exit code {done.returncode}: {last.strip()}')
    return f'failed, {error.read_text()}'
  error.unlink(missing_ok=True)
  result = json.loads((workdir / RESULT).read_text())
  return headline(result)


def headline(result: dict[str, Any]) -> str:
  """Median and quartiles of each set's accuracy, else of its loss."""
  parts = []
  for split in dict.fromkeys(s['split'] for s in result['scores']):
    of = {
      s['metric']: s['values'] for s in result['scores'] if s['split'] == split
    }
    metric = 'accuracy' if 'accuracy' in of else 'loss'
    low, middle, high = np.nanquantile(of[metric], [0.25, 0.5, 0.75])
    parts.append(f'{split} {metric} {middle:.3g} ({low:.3g}-{high:.3g})')
  return ', '.join(parts)


def write_table(runs: Path, grid: Sequence[Cell]) -> None:
  """Writes all results so far to results.csv, replaced in one move."""
  path = runs / 'results.csv'
  part = path.with_suffix('.part')
  with part.open('w', newline='') as file:
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for cell in grid:
      writer.writerows(lines(cell, runs / cell.name))
  part.replace(path)


def lines(cell: Cell, workdir: Path) -> Iterator[dict[str, Any]]:
  """The cell's lines of the table, one for each replica and figure."""
  named = {k: getattr(cell, k) for k in ('study', 'task', 'model', 'width')}
  if (workdir / 'error.txt').exists():
    yield named | {'error': (workdir / 'error.txt').read_text()}
  elif (workdir / RESULT).exists():
    result = json.loads((workdir / RESULT).read_text())
    common = {k: result[k] for k in COLUMNS if k in result}
    for score in result['scores']:
      for i, value in enumerate(score['values']):
        yield common | {
          'seed': result['seeds'][i],
          'learning_rate': result['learning_rates'][i],
          'split': score['split'],
          'metric': score['metric'],
          'value': value,
        }


if __name__ == '__main__':
  main()
