"""A run is one run, however often it stops and wherever it goes on."""

import itertools
from pathlib import Path
import time
from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, Diverged
from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.snapshot import Snapshot
from memjax.runs.workdir import read_config, read_run
from memjax.training import loop, program
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train as train_and_draw
from memjax.training.program import Program
from tests.small import compilations, small

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


@pytest.mark.parametrize('every', [pytest.param(1, marks=pytest.mark.slow), 4])
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


@pytest.mark.slow
def test_time_goes_on_where_it_was_stopped(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('copy_memory', 'lstm', SHORT | {'log.every': 1})
  stop_at(monkeypatch, 2)
  train(experiment, tmp_path)
  path = tmp_path / 'metrics.jsonl'
  before = metrics_file.load_rows(path)
  lines = [
    metrics_file.encode_row(
      r
      | {'seconds': r['seconds'] + 1e6}
      | ({'training_seconds': 9e5} if r['split'] == 'train' else {})
    )
    for r in before
  ]
  path.write_text(''.join(lines))
  stop_at(monkeypatch, 0)
  train(experiment, tmp_path)
  rows = metrics_file.load_rows(path)
  trained = [row['seconds'] for row in rows if row['split'] == 'train']
  assert len(trained) == 6
  assert trained == sorted(trained)
  assert trained[-1] == metrics_file.total_seconds(rows) > 1e6
  assert 9e5 < metrics_file.training_seconds(rows) < 9e5 + trained[-1] - 1e6
  assert metrics_file.training_seconds([]) == 0


@pytest.mark.slow
def test_seconds_of_training_leave_out_the_rest(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def slow(function: Any, seconds: float) -> Any:
    def called(*args: Any) -> Any:
      time.sleep(seconds)
      return function(*args)

    return called

  def slow_program(*args: Any) -> Program:
    run = program.program(*args)
    calls = itertools.count()
    first = slow(run.advance, 20.0)
    return run._replace(
      advance=lambda *args: (run.advance if next(calls) else first)(*args)
    )

  monkeypatch.setattr(loop, 'program', slow_program)
  monkeypatch.setattr(Checkpoints, 'save', slow(Checkpoints.save, 20.0))
  monkeypatch.setattr(Evaluator, 'row', slow(Evaluator.row, 20.0))
  waits: list[float] = []
  now = time.perf_counter
  monkeypatch.setattr(time, 'sleep', waits.append)
  monkeypatch.setattr(time, 'perf_counter', lambda: now() + sum(waits))
  train(small('copy_memory', 'lstm', SHORT | {'log.every': 1}), tmp_path)
  rows = metrics_file.load_rows(tmp_path / 'metrics.jsonl')
  last = [row for row in rows if row['split'] == 'train'][-1]
  assert len(waits) == 6  # one compiles, two evaluate, three save
  # The last row is written before the last evaluation and save.
  assert last['seconds'] - last['training_seconds'] >= 4 * 20.0
  assert last['training_seconds'] < 20.0


@pytest.mark.slow
def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
  experiment = small('copy_memory', 'lstm', SHORT)
  assert train(experiment, tmp_path)
  before = measured(tmp_path)
  assert train(experiment, tmp_path)
  assert measured(tmp_path) == before


MORE = SHORT | {
  'optim.schedule': 'constant',
  'checkpoint.best': 'held_out/loss',
  'evals.held_out.every': 2,
  'log.every': 2,
}


@pytest.mark.slow
@pytest.mark.parametrize(
  'per_call', [pytest.param(1, marks=pytest.mark.slow), 4]
)
def test_more_steps_of_a_finished_run_equal_one_long_run(
  tmp_path: Path, per_call: int
) -> None:
  options = MORE | {'train.steps_per_call': per_call}
  long = small('copy_memory', 'lstm', options | {'train.steps': 10})
  assert train(long, tmp_path / 'long')
  assert train(small('copy_memory', 'lstm', options), tmp_path / 'parts')
  assert train(long, tmp_path / 'parts')
  assert measured(tmp_path / 'parts') == measured(tmp_path / 'long')
  states = [
    Snapshot(tmp_path / name, items=('params', 'carry', 'rest'))
    for name in ('long', 'parts')
  ]
  for item in ('params', 'carry', 'rest'):
    one, other = (state.read(item) for state in states)
    jax.tree.map(np.testing.assert_array_equal, one, other)
  assert read_config(tmp_path / 'parts')['train']['steps'] == 10


@pytest.mark.slow
def test_fewer_steps_are_refused(tmp_path: Path) -> None:
  assert train(small('copy_memory', 'lstm', MORE), tmp_path)
  with pytest.raises(ConfigError, match=r'train.steps: 4: is less than the 6'):
    train(small('copy_memory', 'lstm', MORE | {'train.steps': 4}), tmp_path)


@pytest.mark.slow
def test_a_condition_ends_a_run_and_its_end_is_kept(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  train(small('copy_memory', 'lstm', MORE), tmp_path / 'whole')
  figures = {
    r[0]: r[2] for r in measured(tmp_path / 'whole') if r[1] != 'train'
  }
  bound = (figures[2]['loss'] + figures[4]['loss']) / 2
  condition = f'held_out/loss < {bound}'
  experiment = small(
    'copy_memory', 'lstm', MORE | {'train.stop_when': condition}
  )
  stop_at(monkeypatch, 2)
  assert not train(experiment, tmp_path / 'stops')
  assert read_run(tmp_path / 'stops')[:2] == ('stopped', 2)
  stop_at(monkeypatch, 0)
  for _ in range(2):
    assert train(experiment, tmp_path / 'stops')
    steps = [r[0] for r in measured(tmp_path / 'stops') if r[1] == 'held_out']
    assert steps == [2, 4]
    run = read_run(tmp_path / 'stops')
    assert run[:2] == ('finished', 4)
    assert run.reason.startswith('train.stop_when held_out/loss < ')
    assert run.reason.endswith('at step 4')
  without = small('copy_memory', 'lstm', MORE)
  assert train(without, tmp_path / 'stops')
  assert measured(tmp_path / 'stops') == measured(tmp_path / 'whole')
  assert read_run(tmp_path / 'stops').reason == 'the last step'


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('checkpoint.best', 'held_out/acuracy'),
    ('train.stop_when', 'held_out/acuracy >= 0.99'),
  ],
)
def test_a_wrong_metric_is_refused_before_anything_compiles(
  tmp_path: Path, field: str, value: str
) -> None:
  experiment = small('copy_memory', 'lstm', SHORT | {field: value})
  with (
    compilations() as compiled,
    jax.log_compiles(),
    pytest.raises(ConfigError) as error,
  ):
    train(experiment, tmp_path)
  assert str(error.value) == (
    f"{field}: 'held_out/acuracy': is not measured; did you mean "
    'held_out/accuracy? known: held_out/accuracy, held_out/loss, '
    'held_out/recall'
  )
  assert compiled == []
  assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
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
  other = SHORT | {'task.delay': 13, 'train.batch_size': 16}
  with pytest.raises(ConfigError) as error:
    train(small('copy_memory', 'lstm', other), tmp_path)
  assert 'task.delay was 12, is 13' in str(error.value)
  assert 'train.batch_size was 8, is 16' in str(error.value)
  train(
    small('copy_memory', 'lstm', SHORT | {'log.tensorboard': True}), tmp_path
  )


@pytest.mark.slow
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
