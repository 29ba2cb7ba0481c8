"""Equal numbers of parameters, and a table of scores in equal time."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.text import run, table
from memjax.analysis.loss_by_context import ContextLosses
from memjax.config.reader import read_experiment

LSTM = {
  'width': 8,
  'parameters': 1234,
  'seconds_a_step': 0.5,
  'tokens_a_step': 2048,
}
XL = LSTM | {'width': 6, 'seconds_a_step': 2.0}
FLOWS = {
  'carry_over': True,
  'segment_length': 128,
  'stride': 128,
  'horizon': 0,
}
SLIDES = FLOWS | {'carry_over': False, 'stride': 16}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
  """Runs of two models; one is measured under two protocols.

  Of the LSTM three have ended and one has not.
  """

  def ran(workdir: Path, steps: int, rows: list[dict]) -> None:
    workdir.mkdir(parents=True)
    config = {'model': {}, 'task': {}, 'train': {'steps': steps}, 'optim': {}}
    (workdir / 'config.json').write_text(json.dumps(config))
    lines = '\n'.join(map(json.dumps, rows))
    (workdir / 'metrics.jsonl').write_text(f'{lines}\n')

  def measured(split: str, step: int, bits: float, protocol: dict) -> dict:
    metrics = {'bits_per_byte': bits}
    row = {'step': step, 'split': split, 'protocol': protocol}
    return row | {'metrics': metrics}

  train = {'split': 'train', 'metrics': {'bits_per_byte': 3.0}}
  for seed, (half, whole) in enumerate([(3, 2.5), (3.5, 2.25), (2.75, 3)]):
    rows = [
      train | {'step': 20},
      measured('validation', 20, half, FLOWS),
      train | {'step': 40, 'tokens_per_second': 1024.0},
      measured('validation', 40, whole, FLOWS),
    ]
    ran(tmp_path / 'lstm' / str(seed), 40, rows)
  ran(tmp_path / 'lstm' / '3', 40, [train | {'step': 20}])
  rows = [
    train | {'step': 10, 'tokens_per_second': 1024.0},
    measured('validation', 10, 2.25, FLOWS | {'horizon': 128}),
    measured('otherwise', 10, 2.125, SLIDES),
  ]
  ran(tmp_path / 'transformer_xl' / '0', 10, rows)
  return tmp_path


def test_the_table_has_scores_and_costs(runs: Path) -> None:
  timing = {'lstm': LSTM, 'transformer_xl': XL}
  references = {'bits_per_byte': {'xz -9': 2.75}}
  recl: dict[str, list[float]] = {
    'lstm': [64, 32, 16.0],
    'transformer_xl': [256, 128, 64],
  }
  _, _, *lines = table.table(timing, runs, recl, references)
  cells = [[c.strip() for c in line.split('|')[1:-1]] for line in lines]
  assert [row[:3] for row in cells] == [
    ['lstm', 'carry over, segment 128', '2.500 (2.375, 2.750)'],
    [
      'transformer_xl',
      'carry over, segment 128, horizon 128',
      '2.250 (2.250, 2.250)',
    ],
    [
      'transformer_xl',
      'fresh carry, segment 128, stride 16',
      '2.125 (2.125, 2.125)',
    ],
    ['xz -9', '', '2.750'],
  ]
  assert cells[0][3] == '64 / 32 / 16'
  assert cells[0][4:] == ['1,234', '8', '40', '500', '20', '80']
  assert cells[1][4:] == ['1,234', '6', '10', '2000', '20', '20']
  assert len({len(row) for row in cells}) == 1


def test_a_model_without_a_finished_run_is_one_line(runs: Path) -> None:
  (runs / 'transformer_xl' / '0').rename(runs / 'gone')
  timing = {'lstm': LSTM, 'transformer_xl': XL}
  with pytest.raises(SystemExit, match=r'transformer_xl: no run has finished'):
    list(table.table(timing, runs, {'lstm': [1, 1, 1]}, {}))


def test_curves_are_medians_by_time(runs: Path) -> None:
  drawn = list(table.curves({'lstm': LSTM, 'transformer_xl': XL}, runs))
  assert [(r['split'], r['step']) for r in drawn] == [
    ('lstm', 10.0),
    ('lstm', 20.0),
    ('transformer_xl', 20.0),
  ]
  bits = [(r['metrics'], r['quartiles']) for r in drawn[:2]]
  assert bits == [
    ({'bits_per_byte': 3.0}, {'bits_per_byte': (2.875, 3.25)}),
    ({'bits_per_byte': 2.5}, {'bits_per_byte': (2.375, 2.75)}),
  ]


def test_context_is_measured_seed_by_seed() -> None:
  """Two labels; seeds do not influence each other."""

  def given(losses_NCP: list) -> ContextLosses:
    losses = np.array(losses_NCP, float)
    mean = losses.mean(-1)
    labels = np.zeros((2, 3), int)
    return ContextLosses(np.array([1, 2, 4]), mean, mean, losses, labels)

  falls = [[4, 4], [2, 2], [1, 1]]
  stays = [[4, 4], [2, 2], [2, 2]]
  flat = [[1, 1], [1, 1], [1, 1]]
  found = {'lstm': given([falls, stays]), 'gru': given([flat, stays])}
  reach = {'lstm': [1.5] * 3, 'gru': [1.5] * 3}
  assert table.reach(found) == reach
  curve, _ = table.by_context(found)
  assert (curve.label, list(curve.x)) == ('lstm', [1, 2, 4])
  bits = np.array([4, 2, 1.5]) / np.log(2)
  np.testing.assert_allclose(curve.values, bits)
  quartiles = np.array([[4, 4], [2, 2], [1.25, 1.75]]) / np.log(2)
  np.testing.assert_allclose(curve.quartiles, quartiles)


def test_a_model_has_the_width_nearest_to_its_parameters(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / 'text').write_text('what is said once is said again. ' * 200)
  task = {'corpus': 'files', 'path': str(tmp_path), 'tokens': 'characters'}
  monkeypatch.setattr(run, 'LAYERS', 1)
  monkeypatch.setattr(run, 'PARAMETERS', 60_000)
  width, parameters = run.sized('lstm', task)
  count = run.counter('lstm', read_experiment(configured(task)).task)
  assert parameters == count(width)
  for other in (width - 2, width + 2):
    assert abs(count(other) - 60_000) >= abs(parameters - 60_000)


def configured(task: dict[str, str]) -> dict:
  return run.configured('lstm', task, 32, run.POINTS).to_dict()


def test_a_missing_text_is_one_line(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
  monkeypatch.setattr('sys.argv', ['run', '--path=/not/there'])
  with pytest.raises(SystemExit):
    run.main()
  assert '--path: /not/there: no such file' in capsys.readouterr().err
