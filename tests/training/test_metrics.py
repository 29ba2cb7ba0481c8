"""Training rows say what the optimiser and the hardware did."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.logs import hardware, metrics_file
from memjax.training import metrics
from memjax.training.loop import train
from memjax.training.program import step_flops
from tests.small import small

SIZES = {'model.width': 16, 'train.batch_size': 8}


def training_rows(
  experiment: Experiment, workdir: Path
) -> list[dict[str, Any]]:
  train(experiment, workdir, lambda *_: None)
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  return [row for row in rows if row['split'] == 'train']


@pytest.mark.slow
def test_rows_have_the_rate_of_their_last_update(tmp_path: Path) -> None:
  schedule = {
    'optim.schedule': 'linear',
    'optim.learning_rate': 0.5,
    'optim.final_lr_ratio': 0.0,
    'optim.warmup_steps': 2,
    'train.steps': 6,
    'log.every': 2,
  }
  rows = training_rows(small('mqar', 'gru', SIZES | schedule), tmp_path)
  assert [row['learning_rate'] for row in rows] == [0.25, 0.375, 0.125]
  assert 'mfu' not in rows[1], 'the peak of a CPU is not known'
  assert 'memory' not in rows[1]
  assert rows[1]['tokens_per_second'] > 0


def test_a_resumed_run_and_the_last_step_have_a_rate() -> None:
  overrides = {'train.steps': 7, 'log.every': 3, 'optim.schedule': 'constant'}
  experiment = small('mqar', 'gru', overrides | {'optim.warmup_steps': 0})
  rate = experiment.optim.learning_rate
  assert metrics.learning_rates(experiment, 4) == {6: rate, 7: rate}
  assert metrics.learning_rates(experiment, 7) == {7: rate}


@pytest.mark.parametrize(
  ('per_replica', 'expected'),
  [
    ('learning_rate=0.25,0.5', [0.25, 0.5]),
    ('options.b2=0.9,0.99', 0.125),
  ],
)
def test_replicas_have_a_rate_each_where_they_differ(
  per_replica: str, expected: Any
) -> None:
  overrides = {
    'train.replicas': 2,
    'optim.per_replica': per_replica,
    'optim.options': {'b2': 0.9},
    'optim.learning_rate': 0.125,
    'optim.schedule': 'constant',
    'optim.warmup_steps': 0,
  }
  rates = metrics.learning_rates(small('mqar', 'gru', overrides), 0)
  assert rates == {1: expected, 2: expected}


def test_the_operations_of_a_step_are_those_of_its_products() -> None:
  experiment = small('mqar', 'gru', SIZES)
  task, width = experiment.task, experiment.model.width
  tokens = experiment.train.batch_size * task.length
  layer = tokens * width * 3 * 2 * width  # W x and U h, of three gates
  readout = tokens * width * task.output_spec.size  # V is small: all read out
  expected = 3 * 2 * (layer + readout)
  assert step_flops(experiment) == expected
  twice = small('mqar', 'gru', SIZES | {'train.replicas': 2})
  assert step_flops(twice) == 2 * expected


@pytest.mark.slow
def test_mfu_is_the_share_of_the_peak(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setitem(hardware.PEAKS, 'cpu', 1e9)
  monkeypatch.setattr(hardware, 'peak_memory', lambda: 123)
  experiment = small('mqar', 'gru', SIZES | {'train.steps': 3})
  *_, row = training_rows(experiment, tmp_path)
  tokens = experiment.train.batch_size * experiment.task.length
  steps_per_second = row['tokens_per_second'] / tokens
  operations = steps_per_second * step_flops(experiment)
  assert row['mfu'] == pytest.approx(operations / 8e9, abs=1e-4)
  assert row['memory'] == 123
  assert np.isfinite(row['mfu'])


@pytest.mark.slow
def test_the_given_steps_are_profiled(tmp_path: Path) -> None:
  experiment = small('mqar', 'gru', SIZES | {'train.steps': 4})
  train(experiment, tmp_path, lambda *_: None, '2:3')
  (trace,) = (tmp_path / 'profile').rglob('*.trace.json.gz')
  events = json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']
  steps = {e['args']['step_num'] for e in events if e.get('name') == 'train'}
  assert steps == {'2'}
