"""Replica i of a run is the run whose seed is i higher."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import memjax
from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.runs import manifest
from memjax.training import parallel
from memjax.training.loop import train as train_and_draw
from memjax.training.replicas import per_replica_overrides, summary
from tests.small import assert_close, run, small

RUN = {
  'parallel.data': 1,
  'train.steps': 4,
  'train.steps_per_call': 2,
  'log.every': 2,
  'checkpoint.every': 2,
  'evals.held_out.every': 4,
}
SEED, REPLICAS = 5, 3


def train(experiment: Experiment, folder: Path) -> bool:
  return train_and_draw(experiment, folder, lambda *run: None)


def rows(folder: Path) -> list[dict[str, Any]]:
  return metrics_file.load_rows(folder / 'metrics.jsonl')


@pytest.mark.slow
def test_replicas_are_single_runs(tmp_path: Path) -> None:
  several = small(
    'copy_memory',
    'transformer_xl',
    RUN | {'seed': SEED, 'train.replicas': REPLICAS},
  )
  assert train(several, tmp_path / 'all')
  for i in range(REPLICAS):
    alone = small('copy_memory', 'transformer_xl', RUN | {'seed': SEED + i})
    assert train(alone, tmp_path / str(i))
    for row, single in zip(
      rows(tmp_path / 'all'), rows(tmp_path / str(i)), strict=True
    ):
      assert (row['step'], row['split']) == (single['step'], single['split'])
      assert row['replicas'].keys() == single['metrics'].keys()
      for name, value in single['metrics'].items():
        assert row['replicas'][name][i] == pytest.approx(value, rel=1e-4)
    one = memjax.load(tmp_path / 'all', replica=i)
    other = memjax.load(tmp_path / str(i))
    assert_close(one.params, other.params, 1e-5)
    assert_close(one.carry, other.carry, 1e-4)
  losses = [row['replicas']['loss'] for row in rows(tmp_path / 'all')]
  assert all(len(set(values)) == REPLICAS for values in losses)
  with pytest.raises(ConfigError, match='the run has 3 replica'):
    memjax.load(tmp_path / 'all', replica=3)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'option', 'schedule'),
  [
    pytest.param('adamw', 'b1', 'cosine', marks=pytest.mark.slow),
    ('sgd', 'momentum', 'linear'),
  ],
)
def test_each_replica_has_the_floats_that_are_its_own(
  name: str, option: str, schedule: str
) -> None:
  varied = {
    'learning_rate': [1e-3, 1e-2],
    'weight_decay': [0.5, 0.1],
    'clip_norm': [0.01, 0.1],
    f'options.{option}': [0.5, 0.9],
  }
  common = {
    'parallel.data': 1,
    'optim.name': name,
    'optim.options': {option: 0.7},
    'optim.schedule': schedule,
    'optim.warmup_steps': 1,
  }
  vary = ' '.join(
    f'{field}={values[0]},{values[1]}' for field, values in varied.items()
  )
  both = {
    'optim.weight_decay': 0.3,
    'optim.per_replica': vary,
    'train.replicas': 2,
  }
  several = run(small('copy_memory', 'lstm', common | both), 2)
  for i in range(2):
    own = {f'optim.{field}': values[i] for field, values in varied.items()}
    alone = run(small('copy_memory', 'lstm', common | own | {'seed': i}), 2)
    one = jax.tree.map(lambda x, i=i: x[i : i + 1], several.params)
    assert_close(one, alone.params, 1e-5)


@pytest.mark.parametrize(
  ('per_replica', 'line'),
  [
    (
      'learning_rat=1,2',
      "'learning_rat': is not a float of optim; did",
    ),
    ('ema=1,2', "'ema': is not a float"),
    ('learning_rate=1', "'learning_rate=1': must have one value for each of 2"),
    ('learning_rate=1,-1', "'-1': must be a number above 0 for learning_rate"),
    ('learning_rate=1,x', "'x': must be a number above 0 for learning_rate"),
    ('weight_decay=1,2', 'optim.weight_decay: 0.0: is 0, which turns it off'),
  ],
)
def test_values_that_do_not_fit_the_replicas_are_refused(
  per_replica: str, line: str
) -> None:
  changes = {'optim.per_replica': per_replica, 'train.replicas': 2}
  experiment = small('copy_memory', 'lstm', changes)
  with pytest.raises(ConfigError, match=line):
    per_replica_overrides(experiment.optim, 2)


def test_one_run_cannot_vary() -> None:
  experiment = small(
    'copy_memory', 'lstm', {'optim.per_replica': 'learning_rate=1'}
  )
  with pytest.raises(ConfigError, match='one value for each of 1 replicas'):
    per_replica_overrides(experiment.optim, 1)


@pytest.mark.slow
def test_a_stopped_run_of_replicas_goes_on_bit_for_bit(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('copy_memory', 'lstm', RUN | {'train.replicas': 2})
  assert train(experiment, tmp_path / 'whole')
  monkeypatch.setattr(Interrupts, 'stop', lambda self, step: step == 2)
  assert not train(experiment, tmp_path / 'parts')
  monkeypatch.undo()
  assert train(experiment, tmp_path / 'parts')
  parts, whole = rows(tmp_path / 'parts'), rows(tmp_path / 'whole')
  for name in ('step', 'metrics', 'quartiles', 'replicas'):
    assert [row[name] for row in parts] == [row[name] for row in whole]


@pytest.mark.slow
def test_replicas_stop_together_and_one_step_is_the_best(
  tmp_path: Path,
) -> None:
  """Two learn nothing, so their first evaluation is the best; one diverges."""
  changes = RUN | {
    'train.replicas': 3,
    'train.steps': 20,
    'train.patience': 2,
    'evals.held_out.every': 2,
    'checkpoint.best': 'held_out/accuracy',
    'checkpoint.best_is': 'max',
    'checkpoint.keep': 1,
    'optim.name': 'sgd',
    'optim.clip_norm': 0.0,
    'optim.options': {},
    'optim.per_replica': 'learning_rate=1e-30,1e38,1e-30',
  }
  experiment = small('copy_memory', 'lstm', changes)
  for _ in range(2):  # the second finds it finished
    assert train(experiment, tmp_path)
    measured = [r for r in rows(tmp_path) if r['split'] == 'held_out']
    assert [row['step'] for row in measured] == [2, 4, 6]
  assert manifest.steps_in(tmp_path / 'checkpoints') == [2, 6]
  for i in range(3):
    best = memjax.load(tmp_path, step='best', replica=i)
    assert best.step == 2
    accuracy = measured[0]['replicas']['accuracy'][i]
    np.testing.assert_equal(best.metrics['held_out/accuracy'], accuracy)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(best.params))
    assert (largest > 1e30) == math.isnan(accuracy) == (i == 1)


@pytest.mark.slow
def test_devices_share_the_replicas() -> None:
  overrides = {'train.replicas': 8, 'train.batch_size': 3}
  state = run(small('copy_memory', 'lstm', overrides), 1)
  arrays = state._asdict() | {'step': ()}
  for leaf in jax.tree.leaves(arrays):
    assert leaf.shape[0] == 8
    assert leaf.addressable_shards[0].data.shape[0] == 1


@pytest.mark.slow
def test_devices_share_the_rows_of_replicas_that_do_not_divide() -> None:
  overrides = {'train.replicas': 3, 'optim.name': 'sgd', 'optim.options': {}}
  on_mesh = run(small('copy_memory', 'lstm', overrides), 2)
  one_device = overrides | {'parallel.data': 1}
  alone = run(small('copy_memory', 'lstm', one_device), 2)
  assert_close(on_mesh.params, alone.params, 1e-6)
  for leaf in jax.tree.leaves(on_mesh.carry):
    shard = leaf.addressable_shards[0].data
    assert shard.shape[:2] == (3, leaf.shape[1] // 8)


@pytest.mark.slow
@pytest.mark.parametrize(
  'replicas', [pytest.param(8, marks=pytest.mark.slow), 3]
)
def test_rows_hold_every_replica_of_a_mesh(
  replicas: int, tmp_path: Path
) -> None:
  changes = RUN | {'parallel.data': 8, 'train.replicas': replicas}
  assert train(small('copy_memory', 'lstm', changes), tmp_path)
  losses = [row['replicas']['loss'] for row in rows(tmp_path)]
  assert [len(set(values)) for values in losses] == [replicas] * len(losses)


def test_replicas_that_do_not_fit_are_refused() -> None:
  changes = {'train.replicas': 6, 'train.batch_size': 12}
  experiment = small('copy_memory', 'lstm', changes)
  mesh = parallel.make_mesh(experiment.parallel)
  line = 'batch_size: 12: must divide .* or train.replicas 6 a multiple of 8'
  with pytest.raises(ConfigError, match=line):
    parallel.check_divides(mesh, experiment)
  with pytest.raises(ConfigError, match='the last replica would have seed'):
    small('copy_memory', 'lstm', {'seed': 2**32 - 2, 'train.replicas': 3})


def test_a_diverged_replica_is_seen_and_does_not_hide_the_others() -> None:
  values = np.array([1.0, math.nan, 2.0, 4.0])
  row = summary({'loss': values})
  assert row['metrics'] == {'loss': 2.0}
  assert row['quartiles'] == {'loss': [1.5, 3.0]}
  again = metrics_file.decode_row(
    metrics_file.encode_row({'step': 1, 'split': 'train', **row})
  )
  np.testing.assert_array_equal(again['replicas']['loss'], values)
  values_of = {'loss': values, 'accuracy': np.array([0.5, 0.1, 0.7, 0.9])}
  right = summary(values_of)
  assert right['metrics']['accuracy'] == 0.7
  assert math.isnan(right['replicas']['accuracy'][1])
  none = summary({'loss': np.full(2, math.nan)})
  assert math.isnan(none['metrics']['loss'])


def test_figures_without_a_loss_are_summarised() -> None:
  assert summary({'f1': np.array([0.5])}) == {'metrics': {'f1': 0.5}}
  row = summary({'f1': np.array([0.25, 0.75, 0.5])})
  assert row['metrics'] == {'f1': 0.5}
  assert row['quartiles'] == {'f1': [0.375, 0.625]}


def test_a_row_of_one_run_has_no_spread() -> None:
  assert summary({'loss': np.array([3.0])}) == {'metrics': {'loss': 3.0}}
