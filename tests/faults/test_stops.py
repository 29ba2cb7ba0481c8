"""A run that is stopped ten times in two passes over its text: equal bits."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.runs.snapshot import Snapshot
from memjax.training.loop import train
from tests.small import small

ROWS, LENGTH, STOPS = 4, 16, 10


def leaves(folder: Path, step: int) -> list[bytes]:
  snapshot = Snapshot(folder, step)
  items = [snapshot.read(item) for item in ('params', 'carry', 'rest')]
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(items)]


@pytest.mark.slow
def test_ten_stops_in_two_passes_change_no_bit(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  text = tmp_path / 'text'
  text.write_text(''.join(f'{n} sheep and {n * n} goats. ' for n in range(80)))
  changes: dict[str, Any] = {
    'task.corpus': 'files',
    'task.path': str(text),
    'task.length': LENGTH,
    'train.batch_size': ROWS,
    'train.steps_per_call': 1,
    'model.width': 8,
    'model.dropout': 0.1,
    'log.every': 1,
    'log.sample': 0,
    'checkpoint.every': 1000,
    'checkpoint.best': '',
    'parallel.data': 1,
  }
  first = small('text', 'transformer_xl', changes)
  once = first.task.epoch_steps(ROWS)
  assert once > STOPS
  changes['train.steps'] = 2 * once
  experiment = small('text', 'transformer_xl', changes)
  experiment.evals.clear()
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  assert train(experiment, whole, lambda *_: None)
  stops = np.linspace(1, 2 * once - 1, STOPS).astype(int).tolist()
  monkeypatch.setattr(Interrupts, 'stop', lambda self, step: step in stops)
  ends = [train(experiment, parts, lambda *_: None) for _ in range(STOPS + 1)]
  assert ends == [False] * STOPS + [True]
  rows = [
    [(r['step'], r['metrics']) for r in metrics_file.load_rows(path)]
    for path in (folder / 'metrics.jsonl' for folder in (whole, parts))
  ]
  assert len(rows[0]) == 2 * once
  assert rows[0] == rows[1]
  last = [leaves(folder, 2 * once) for folder in (whole, parts)]
  assert last[0] == last[1]
