"""The suite resumes, and a crash is a row with its error."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from experiments.suite import cell as cells_run
from experiments.suite import report, run
from experiments.suite.grid import STUDIES, Cell, cells
from memjax.config.reader import read_experiment
from tests.report.browser import look

SMALL = {
  'task.length': 16,
  'task.pairs': 2,
  'task.vocab': 16,
  'train.steps': 20,
  'train.batch_size': 8,
  'train.steps_per_call': 1,
}


def small(**changes: Any) -> Cell:
  (cell,) = [c for c in cells() if c.name == 'mqar/64x4-lstm-32']
  cell = dataclasses.replace(
    cell, width=4, changes=SMALL, rates=(1e-3, 3e-3), seeds=2
  )
  return dataclasses.replace(cell, **changes)


def table(runs: Path) -> list[dict[str, str]]:
  with (runs / 'results.csv').open() as file:
    return list(csv.DictReader(file))


def test_names_of_cells_are_unique() -> None:
  names = [cell.name for cell in cells()]
  assert len(set(names)) == len(names)


@pytest.mark.parametrize('study', STUDIES)
def test_every_task_of_a_study_is_an_experiment(study: str) -> None:
  one_of_each = {cell.task: cell for cell in cells((study,))}
  for cell in one_of_each.values():
    read_experiment(cells_run.configured(cell).to_dict())


@pytest.mark.slow
def test_a_cell_records_settings_cost_and_scores(tmp_path: Path) -> None:
  cell = small()
  cells_run.run(cell, tmp_path / cell.name)
  result = json.loads((tmp_path / cell.name / 'result.json').read_text())
  assert result['seeds'] == [0, 1, 2, 3]
  assert result['learning_rates'] == [1e-3, 1e-3, 3e-3, 3e-3]
  assert result['state_bytes'] == 2 * 2 * 4 * 4  # layers, h and c, width, float
  assert {s['split'] for s in result['scores']} == {'held_out'}
  assert all(len(s['values']) == 4 for s in result['scores'])
  assert len(result['curves'][0]['metrics']['accuracy']) == 4
  run.write_table(tmp_path, [cell])
  lines = [r for r in table(tmp_path) if r['metric'] == 'accuracy']
  assert [line['seed'] for line in lines] == ['0', '1', '2', '3']
  assert [line['learning_rate'] for line in lines] == ['0.001'] * 2 + [
    '0.003'
  ] * 2
  assert all(0 <= float(line['value']) <= 1 for line in lines)
  (one,) = [s for s in result['scores'] if s['metric'] == 'accuracy']
  assert [float(line['value']) for line in lines] == one['values']
  assert run.headline(result).startswith('held_out accuracy ')
  page = report.write([result], tmp_path / 'report').read_text()
  assert page.count('data:image/png;base64,') == 1
  assert '<td>lstm</td><td>4</td>' in page


def invented(model: str, width: int, scores: list[float]) -> report.Result:
  """Two learning rates with three seeds each."""
  edges, none = [1, 2, 5], [None, None]
  return {
    'study': 'mqar',
    'task': 'invented',
    'model': model,
    'width': width,
    'parameters': 1000,
    'state_bytes': 8 * width,
    'seconds': width,
    'seeds': list(range(6)),
    'learning_rates': [1e-3] * 3 + [3e-3] * 3,
    'scores': [
      {'split': 'held_out', 'metric': 'accuracy', 'values': scores},
      {'split': 'held_out', 'metric': 'loss', 'values': [2.0] * 6},
    ],
    'curves': [
      {
        'score_axis': 'label_distance',
        'edges': edges,
        'labels': [9, 9],
        'metrics': {'accuracy': [none] * 3 + [[s, s / 2] for s in scores[3:]]},
      }
    ],
  }


def test_the_report_shows_medians_of_the_best_rate(tmp_path: Path) -> None:
  result = invented('lstm', 8, [0.99, 0.1, 0.2, 0.4, 0.5, 0.95])
  assert report.spread(result, 'accuracy') == pytest.approx((0.45, 0.5, 0.725))
  near, far = report.curve_points(result, 'accuracy')
  assert near == pytest.approx((1, 0.45, 0.5, 0.725))
  assert far == pytest.approx((3, 0.225, 0.25, 0.3625))
  page = report.write([result], tmp_path).read_text()
  cells = '<td>0.003</td><td>0.500 (0.450 to 0.725)</td>'
  assert f'{cells}<td>2.00 (2.00 to 2.00)</td><td>1 of 3</td>' in page
  for one in look(tmp_path / 'index.html'):
    assert one.console == []
    assert [picture.natural for picture in one.pictures] == [13 * 110]
    assert one.needed <= one.width


def test_a_diverged_replica_scores_0() -> None:
  lost = [float('nan')] * 2
  result = invented('lstm', 8, [0.1, 0.1, 0.1, *lost, 0.9])
  assert report.spread(result, 'accuracy') == pytest.approx((0.1, 0.1, 0.1))


def test_a_cell_that_crashes_is_a_row_with_its_error(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  cell = small()
  monkeypatch.setattr(run.sys, 'executable', '/bin/false')
  assert run.attempt(cell, tmp_path) == 'failed, exit code 1: '
  run.write_table(tmp_path, [cell])
  (line,) = table(tmp_path)
  assert (line['model'], line['error']) == ('lstm', 'exit code 1: ')


def test_an_unknown_study_is_one_line(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
  monkeypatch.setattr(run.sys, 'argv', ['run', 'mqra'])
  with pytest.raises(SystemExit):
    run.main()
  assert 'no study mqra; known: copy_memory, ' in capsys.readouterr().err
