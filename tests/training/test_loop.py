"""A run is one run, however often it stops and wherever it goes on."""

from pathlib import Path
from typing import Any

import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, Diverged
from memjax.logs import metrics_file
from memjax.runs.interrupts import Interrupts
from memjax.runs.workdir import read_run
from memjax.training.loop import train as train_and_draw
from tests.small import small

SHORT = {
  'parallel.data': 1,
  'train.steps': 6,
  'checkpoint.every': 4,
  'evals.held_out.every': 3,
}


def train(experiment: Experiment, workdir: Path) -> bool:
  return train_and_draw(experiment, workdir, lambda *run: None)


def measured(workdir: Path) -> list[tuple[Any, ...]]:
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  return [(r['step'], r['split'], r['metrics']) for r in rows]


def stop_at(monkeypatch: pytest.MonkeyPatch, when: int) -> None:
  monkeypatch.setattr(Interrupts, 'stop', lambda self, step: step == when)


@pytest.mark.parametrize('every', [1, 4])
def test_a_stopped_run_goes_on_bit_for_bit(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
  experiment = small('copy_memory', 'lstm', SHORT | {'log.every': every})
  assert train(experiment, tmp_path / 'whole')
  stop_at(monkeypatch, 2)
  assert not train(experiment, tmp_path / 'parts')
  stop_at(monkeypatch, 3)
  assert not train(experiment, tmp_path / 'parts')
  stop_at(monkeypatch, 0)
  assert train(experiment, tmp_path / 'parts')
  assert measured(tmp_path / 'parts') == measured(tmp_path / 'whole')
  steps = [r[0] for r in measured(tmp_path / 'whole') if r[1] == 'train']
  assert steps == ([1, 2, 3, 4, 5, 6] if every == 1 else [4, 6])


def test_time_goes_on_where_it_was_stopped(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('copy_memory', 'lstm', SHORT | {'log.every': 1})
  stop_at(monkeypatch, 2)
  train(experiment, tmp_path)
  path = tmp_path / 'metrics.jsonl'
  before = metrics_file.load_rows(path)
  lines = [
    metrics_file.encode_row(r | {'seconds': r['seconds'] + 1e6}) for r in before
  ]
  path.write_text(''.join(lines))
  stop_at(monkeypatch, 0)
  train(experiment, tmp_path)
  rows = metrics_file.load_rows(path)
  trained = [row['seconds'] for row in rows if row['split'] == 'train']
  assert len(trained) == 6
  assert trained == sorted(trained)
  assert trained[-1] == metrics_file.training_seconds(rows) > 1e6
  assert metrics_file.training_seconds([]) == 0


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
  experiment = small('copy_memory', 'lstm', SHORT)
  assert train(experiment, tmp_path)
  before = measured(tmp_path)
  assert train(experiment, tmp_path)
  assert measured(tmp_path) == before


def test_patience_ends_a_run_and_its_end_is_kept(tmp_path: Path) -> None:
  experiment = small(
    'copy_memory',
    'lstm',
    SHORT
    | {
      'optim.learning_rate': 1e-30,
      'train.patience': 2,
      'train.steps': 20,
      'evals.held_out.every': 2,
    },
  )
  for _ in range(2):
    assert train(experiment, tmp_path)
    steps = [r[0] for r in measured(tmp_path) if r[1] == 'held_out']
    assert steps == [2, 4, 6]


def test_a_diverged_run_says_so_and_keeps_its_checkpoints(
  tmp_path: Path,
) -> None:
  options: dict[str, Any] = {'checkpoint.every': 1}
  options |= SHORT | {'checkpoint.every': 1, 'optim.learning_rate': 1e38}
  options |= {'optim.clip_norm': 0.0, 'optim.name': 'sgd'}
  experiment = small('adding', 'lstm', options)
  with pytest.raises(Diverged, match=r'step \d: the training loss is'):
    train(experiment, tmp_path)
  rows = (tmp_path / 'metrics.jsonl').read_text()
  assert 'nonfinite' in rows


def test_another_config_is_refused_with_what_differs(tmp_path: Path) -> None:
  train(small('copy_memory', 'lstm', SHORT), tmp_path)
  other = SHORT | {'task.delay': 13, 'train.steps': 8}
  with pytest.raises(ConfigError) as error:
    train(small('copy_memory', 'lstm', other), tmp_path)
  assert 'task.delay was 12, is 13' in str(error.value)
  assert 'train.steps was 6, is 8' in str(error.value)
  train(
    small('copy_memory', 'lstm', SHORT | {'log.tensorboard': True}), tmp_path
  )


def test_every_figure_has_its_protocol_and_every_start_its_machine(
  tmp_path: Path,
) -> None:
  overrides = SHORT | {'optim.ema': 0.5}
  train(small('adding', 'gru', overrides), tmp_path)
  rows = metrics_file.load_rows(tmp_path / 'metrics.jsonl')
  twice = [r for r in rows if r['split'] == 'twice'][-1]
  assert twice['protocol']['segment_length'] == 24
  assert twice['protocol']['stride'] == 24
  assert twice['protocol']['carry_over'] is False
  assert twice['protocol']['task.length'] == 24
  assert twice['protocol']['model.width'] == 16
  assert twice['protocol']['data'] == 'generated'
  assert twice['protocol']['parameters'] == 'ema'
  run = read_run(tmp_path)
  assert (run.state, run.step) == ('finished', rows[-1]['step'])
  assert run.starts[0]['versions']['jax']
  assert run.starts[0]['devices']
