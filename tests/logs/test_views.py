"""wandb and TensorBoard show all of a run, also after a stop."""

import json
from pathlib import Path
import struct
import subprocess
import sys
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.layout_pb2 import Layout

from memjax.logs.metrics_file import Row
from memjax.logs.series import series
from memjax.logs.settings import LogSettings
from memjax.logs.writers import Writers

CONFIG = {'seed': 3, 'evals': {'held_out': {}}}
LOG = LogSettings(
  total_steps=40,
  parameters=1234,
  wandb_mode='offline',
  wandb_group='widths',
  wandb_tags=('first', 'short'),
)
BOARD = LOG._replace(wandb_mode='disabled', tensorboard=True)


def row(step: int, split: str = 'train') -> Row:
  accuracy = [step / 50, step / 40, step / 100]
  found: Row = {
    'step': step,
    'split': split,
    'metrics': {'accuracy': step / 50},
    'quartiles': {'accuracy': [step / 100, step / 40]},
    'replicas': {'accuracy': accuracy},
  }
  if split == 'train':
    found |= {'learning_rate': 1e-3 / step, 'tokens_per_second': 10.0 * step}
  return found


ROWS = [row(10), row(20), row(20, 'held_out'), row(30), row(40)]


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
  """No test sees this machine's Weights & Biases settings."""
  for name in ('MODE', 'SILENT', 'API_KEY', 'BASE_URL', 'RUN_ID'):
    monkeypatch.delenv(f'WANDB_{name}', raising=False)
  monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))


def write(workdir: Path, log: LogSettings, rows: list[Row], past: int) -> None:
  with Writers(workdir, CONFIG, log, rows[:past]) as writers:
    for r in rows[past:]:
      writers.write(r)
    writers.text('sample', 'To be\n  or *not* to be')


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
  """The records of a kind that wandb's own reader finds in an offline run."""
  command = [str(Path(sys.executable).parent / 'wandb'), 'leet', 'inspect']
  ran = subprocess.run(
    [*command, '--json', str(folder)], check=True, capture_output=True
  )
  found = map(json.loads, ran.stdout.splitlines())
  return [record[kind] for record in found if record['type'] == kind]


def history(folder: Path) -> list[dict[str, Any]]:
  """{name: value} of each row that was logged."""
  return [record['item'] for record in records(folder, 'history')]


def events(folder: Path) -> list[Event]:
  (file,) = folder.glob('events.out.tfevents.*')
  data, found = file.read_bytes(), []
  while data:
    size = struct.unpack('<Q', data[:8])[0]
    found.append(Event.FromString(data[12 : 12 + size]))
    data = data[16 + size :]
  return found


def test_a_row_is_named_numbers() -> None:
  assert series(row(20)) == {
    'train/accuracy': 0.4,
    'train/learning_rate': 5e-5,
    'train/tokens_per_second': 200.0,
    'train_quartiles/accuracy/first': 0.2,
    'train_quartiles/accuracy/third': 0.5,
    'train_replicas/accuracy/replica_0': 0.4,
    'train_replicas/accuracy/replica_1': 0.5,
    'train_replicas/accuracy/replica_2': 0.2,
  }
  rates = series({'split': 'train', 'metrics': {}, 'learning_rate': [0.1, 0.2]})
  assert rates == {
    'train_replicas/learning_rate/replica_0': 0.1,
    'train_replicas/learning_rate/replica_1': 0.2,
  }


@pytest.mark.slow
def test_after_a_stop_the_last_offline_run_is_whole(tmp_path: Path) -> None:
  for past in (0, 3):
    write(tmp_path, LOG, ROWS[: past + 3], past)
  folders = sorted((tmp_path / 'wandb').glob('offline-run-*'))
  ids = {run['run_id'] for f in folders for run in records(f, 'run')}
  assert len(folders) == 2
  assert len(ids) == 1
  *rows, _ = history(folders[-1])  # the text is last
  assert [r['step'] for r in rows] == [r['step'] for r in ROWS]
  for shown, expected in zip(rows, ROWS, strict=True):
    for name, value in series(expected).items():
      assert shown[name] == value


@pytest.mark.slow
def test_wandb_has_group_tags_parameters_texts_and_the_step(
  tmp_path: Path,
) -> None:
  write(tmp_path, LOG, ROWS, 0)
  (folder,) = (tmp_path / 'wandb').glob('offline-run-*')
  (run,) = records(folder, 'run')
  assert run['run_group'] == 'widths'
  assert run['tags'] == ['first', 'short']
  assert run['config']['update']['parameters'] == 1234
  sample = history(folder)[-1]
  assert sample['step'] == 40
  assert any(name.startswith('sample') for name in sample)
  (table,) = folder.rglob('*.table.json')
  assert 'or *not* to be' in table.read_text()
  metrics = records(folder, 'metric')
  assert 'step' in {m.get('name') for m in metrics}
  globs = {
    m['glob_name']: m['step_metric'] for m in metrics if 'glob_name' in m
  }
  assert globs == {'*': 'step'}


def test_after_a_stop_tensorboard_has_one_whole_file(tmp_path: Path) -> None:
  write(tmp_path, BOARD, ROWS[:3], 0)
  (torn,) = (tmp_path / 'tensorboard').iterdir()
  torn.rename(torn.with_name('events.out.tfevents.1.killed'))
  write(tmp_path, BOARD, ROWS, 3)
  values = [
    (e.step, v)
    for e in events(tmp_path / 'tensorboard')
    for v in e.summary.value
  ]
  scalars = {
    (step, v.tag): v.simple_value
    for step, v in values
    if v.WhichOneof('value') == 'simple_value'
  }
  expected = {
    (r['step'], name): value for r in ROWS for name, value in series(r).items()
  }
  assert scalars == pytest.approx(expected)


def test_tensorboard_has_texts_and_charts_of_replicas(tmp_path: Path) -> None:
  write(tmp_path, BOARD, ROWS, 0)
  values = [
    v for e in events(tmp_path / 'tensorboard') for v in e.summary.value
  ]
  texts = {v.tag: v.tensor.string_val for v in values if 'text' in v.tag}
  (sample,) = texts['sample/text_summary']
  assert sample.decode() == '    To be\n      or *not* to be'
  assert texts['parameters/text_summary'][0].decode() == '    1,234'
  (layout,) = [v for v in values if v.tag == 'custom_scalars__config__']
  charts = Layout.FromString(layout.tensor.string_val[0])
  assert [c.title for c in charts.category] == ['train', 'held_out']
  first, each = charts.category[0].chart
  (margin,) = first.margin.series
  assert (margin.value, margin.lower, margin.upper) == (
    'train/accuracy',
    'train_quartiles/accuracy/first',
    'train_quartiles/accuracy/third',
  )
  assert list(each.multiline.tag) == ['train_replicas/accuracy/replica_.*']
