"""The MAD grid: every cell is an experiment, and the best run counts."""

import json
from pathlib import Path

import pytest

from experiments.mad.run import (
  CHANGES,
  DECAYS,
  Cell,
  best_accuracy,
  cells,
  command,
  folder,
)
from memjax.config.build import build_task
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.tasks.base import Task


def test_every_cell_changes_one_field_of_its_task(tmp_path: Path) -> None:
  grid = list(cells(list(CHANGES)))
  assert len(set(grid)) == len(grid) == 6 + 6 + 6 + 9 + 8 + 6 + 5
  bases: dict[str, Task] = {}
  for cell in grid:
    words = command(cell, 'gru', 0.1, tmp_path, 0)
    (file,) = [word for word in words if word.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    task = build_task(config['task'])
    base = bases.setdefault(cell.task, task)
    assert type(task) is type(base)
    changed = {
      name for name in vars(task) if vars(task)[name] != vars(base)[name]
    }
    assert changed == ({cell.field} if cell.field else set())


def test_the_best_of_all_runs_is_the_score(tmp_path: Path) -> None:
  cell = Cell('compression', 'vocab', 32)
  for decay, values in zip(DECAYS, ([0.1, 0.4], [0.3, 0.2]), strict=True):
    path = folder(cell, decay, tmp_path)
    path.mkdir(parents=True)
    rows = [
      {
        'step': step,
        'split': split,
        'metrics': {'accuracy': 0.0},
        'replicas': {'accuracy': accuracies},
      }
      for step, split, accuracies in (
        (1, 'held_out', [0.9, 0.9]),
        (2, 'held_out', values),
        (2, 'train', [1.0, 1.0]),
      )
    ]
    lines = ''.join(f'{json.dumps(row)}\n' for row in rows)
    (path / 'metrics.jsonl').write_text(lines)
  assert best_accuracy(cell, tmp_path) == pytest.approx(0.4)
