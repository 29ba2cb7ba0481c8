"""Every row reaches metrics.jsonl; views show it or are dropped in a line."""

from collections.abc import Callable
import contextlib
import json
import os
from pathlib import Path
import re
import struct
import subprocess
import sys
from typing import Any

import pytest

from memjax.logs import metrics_file, wandb_view, writers
from memjax.logs.settings import LogSettings
from memjax.logs.writers import Writers

CONFIG: dict[str, Any] = {
  'seed': 3,
  'evals': {},
  'model': {'name': 'stack.Stack', 'depth': 2},
}
QUIET = LogSettings(total_steps=2000)


def row(step: int, split: str = 'train', **metrics: float) -> metrics_file.Row:
  return {'step': step, 'split': split, 'metrics': metrics}


TRAIN = row(400, loss=2.113, accuracy=0.41) | {'tokens_per_second': 41234.5}
VALID = row(400, 'valid', loss=2.24, accuracy=0.39)


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
  """No test sees this machine's Weights & Biases settings."""
  for name in ('MODE', 'SILENT', 'API_KEY', 'BASE_URL', 'RUN_ID'):
    monkeypatch.delenv(f'WANDB_{name}', raising=False)
  monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))


def test_each_row_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
  with Writers(tmp_path / 'new', CONFIG, QUIET) as open_writers:
    for number_of_rows in range(1, 4):
      open_writers.write(TRAIN)
      rows = metrics_file.load_rows(tmp_path / 'new' / 'metrics.jsonl')
      assert rows == [TRAIN] * number_of_rows


def test_rows_survive_a_kill(tmp_path: Path) -> None:
  script = f"""
import os, pathlib, signal
from memjax.logs.settings import LogSettings
from memjax.logs.writers import Writers
writers = Writers(pathlib.Path({str(tmp_path)!r}), {{}}, LogSettings{(*QUIET,)})
for step in range(100):
  writers.write({{'step': step, 'split': 'train', 'metrics': {{'loss': 1.0}}}})
os.kill(os.getpid(), signal.SIGKILL)
"""
  died = subprocess.run([sys.executable, '-c', script], capture_output=True)
  assert died.returncode == -9, died.stderr
  steps = [
    r['step'] for r in metrics_file.load_rows(tmp_path / 'metrics.jsonl')
  ]
  assert steps == list(range(100))


def test_a_later_start_goes_on_after_a_torn_line(tmp_path: Path) -> None:
  path = tmp_path / 'metrics.jsonl'
  path.write_text(metrics_file.encode_row(TRAIN) + '{"step": 500, "sp')
  with Writers(tmp_path, CONFIG, QUIET) as open_writers:
    open_writers.write(VALID)
  assert metrics_file.load_rows(path) == [TRAIN, VALID]


def test_a_disk_that_fails_stops_the_run(tmp_path: Path) -> None:
  with contextlib.suppress(OSError), Writers(tmp_path, {}, QUIET) as broken:
    with open('/dev/full', 'wb') as full:
      os.dup2(full.fileno(), broken._truth._file.fileno())
    with pytest.raises(OSError, match='No space left'):
      broken.write(TRAIN)


class Broken:
  """A view that works until a row comes."""

  closed = False

  def write(self, row: metrics_file.Row) -> None:
    raise RuntimeError('the dog ate it\nand more')

  def figure(self, name: str, path: Path) -> None:
    raise AssertionError('was dropped')

  def close(self) -> None:
    self.closed = True
    raise RuntimeError('again')


def test_a_view_that_fails_is_dropped_in_one_line(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  broken = Broken()
  monkeypatch.setattr(writers, 'TensorBoard', lambda *_: broken)
  log = QUIET._replace(tensorboard=True)
  with Writers(tmp_path, CONFIG, log) as open_writers:
    open_writers.write(TRAIN)
    open_writers.write(VALID)
    open_writers.figure('curve', tmp_path / 'curve.png')
  assert broken.closed
  assert metrics_file.load_rows(tmp_path / 'metrics.jsonl') == [TRAIN, VALID]
  assert capsys.readouterr().err == (
    'tensorboard: dropped: the dog ate it; metrics.jsonl is still written\n'
  )


def test_a_view_that_does_not_open_is_dropped_in_one_line(
  tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
  (tmp_path / 'tensorboard').write_text('a file where the folder should be')
  with Writers(
    tmp_path, CONFIG, QUIET._replace(tensorboard=True)
  ) as open_writers:
    open_writers.write(TRAIN)
  assert metrics_file.load_rows(tmp_path / 'metrics.jsonl') == [TRAIN]
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 1
  assert lines[0].startswith('tensorboard: dropped: ')


def test_a_view_is_opened_when_the_file_has_a_row_for_it(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  opened = []

  def open_view(*_: Any) -> Broken:
    opened.append(metrics_file.load_rows(tmp_path / 'metrics.jsonl'))
    return Broken()

  monkeypatch.setattr(writers, 'TensorBoard', open_view)
  log = QUIET._replace(tensorboard=True)
  with Writers(tmp_path, CONFIG, log):
    pass
  assert opened == []
  with Writers(tmp_path, CONFIG, log) as open_writers:
    open_writers.write(TRAIN)
    open_writers.write(VALID)
  assert opened == [[TRAIN]]


def png(path: Path) -> Path:
  from PIL import Image

  Image.new('RGBA', (4, 3), (255, 0, 0, 255)).save(path)
  return path


def wandb_records(workdir: Path) -> Callable[[str], list[dict[str, Any]]]:
  """kind -> the records of it that wandb's own tool finds in offline runs."""
  records = []
  command = [str(Path(sys.executable).parent / 'wandb'), 'leet', 'inspect']
  for folder in sorted((workdir / 'wandb').glob('offline-run-*')):
    ran = subprocess.run(
      [*command, '--json', str(folder)], check=True, capture_output=True
    )
    records += [json.loads(line) for line in ran.stdout.splitlines()]
  return lambda kind: [r[kind] for r in records if r['type'] == kind]


def test_wandb_offline_has_config_rows_and_figures_under_one_id(
  tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
  log = QUIET._replace(wandb_mode='auto', wandb_name='first')
  again = TRAIN | {'step': 100}
  for rows in ([TRAIN, VALID, again], [again]):
    with Writers(tmp_path, CONFIG, log) as open_writers:
      for r in rows:
        open_writers.write(r)
      open_writers.figure('curve', png(tmp_path / 'curve.png'))
  records = wandb_records(tmp_path)
  run_id = (tmp_path / 'wandb_id').read_text()
  assert [run['run_id'] for run in records('run')] == [run_id, run_id]
  assert records('run')[0]['display_name'] == 'first'
  assert records('run')[0]['config']['update']['model'] == CONFIG['model']
  items = [record['item'] for record in records('history')]
  assert [item['step'] for item in items if 'train/loss' in item] == (
    [400, 100, 100]
  )
  assert [i['valid/accuracy'] for i in items if 'valid/loss' in i] == [0.39]
  assert sum('curve' in json.dumps(item) for item in items) == 2
  out, err = capfd.readouterr()
  assert err == ''
  assert all(re.match(' *[0-9]+/2000|curve', line) for line in out.splitlines())


def test_wandb_without_a_network_falls_back_in_one_line(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  capfd: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setenv('WANDB_API_KEY', 'a' * 40)
  monkeypatch.setenv('WANDB_BASE_URL', 'http://127.0.0.1:9')
  monkeypatch.setattr(wandb_view, 'CONNECT_SECONDS', 1)
  log = QUIET._replace(wandb_mode='auto')
  with Writers(tmp_path, CONFIG, log) as open_writers:
    open_writers.write(TRAIN)
  (record,) = wandb_records(tmp_path)('history')
  assert record['item']['train/loss'] == 2.113
  (line,) = capfd.readouterr().err.splitlines()
  assert line.startswith('wandb: offline: ')


def test_a_missing_library_is_named_if_it_is_needed(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  capfd: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setitem(sys.modules, 'wandb', None)
  monkeypatch.setitem(sys.modules, 'tensorboardX', None)
  for mode, tensorboard in (('auto', False), ('online', True)):
    log = QUIET._replace(wandb_mode=mode, tensorboard=tensorboard)
    with Writers(tmp_path, {}, log) as opened:
      opened.write(TRAIN)
    lines = capfd.readouterr().err.splitlines()
    asked = [line for line in lines if 'pip install' in line]
    names = ['wandb', 'tensorboard'] if tensorboard else []
    assert len(asked) == len(names)
    for name, line in zip(names, asked, strict=True):
      assert line.startswith(f'{name}: dropped: ')
      assert f"pip install 'memjax[{name}]'" in line


def test_wandb_is_online_only_where_a_key_is_found(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  assert wandb_view.find_mode() == 'offline'
  (tmp_path / 'netrc').write_text('machine elsewhere login a password b\n')
  assert wandb_view.find_mode() == 'offline'
  with (tmp_path / 'netrc').open('a') as file:
    file.write('machine api.wandb.ai login user password key\n')
  assert wandb_view.find_mode() == 'online'
  monkeypatch.setenv('WANDB_BASE_URL', 'https://wandb.example.org')
  assert wandb_view.find_mode() == 'offline'
  monkeypatch.setenv('WANDB_API_KEY', 'a' * 40)
  assert wandb_view.find_mode() == 'online'
  monkeypatch.setenv('WANDB_MODE', 'disabled')
  assert wandb_view.find_mode() == 'disabled'


def test_a_sweep_agent_names_the_run(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('WANDB_RUN_ID', 'sweep7')
  assert wandb_view.run_id(tmp_path / 'wandb_id') == 'sweep7'
  monkeypatch.delenv('WANDB_RUN_ID')
  assert wandb_view.run_id(tmp_path / 'wandb_id') == 'sweep7'


def test_tensorboard_gets_scalars_and_figures(tmp_path: Path) -> None:
  from tensorboardX.proto.event_pb2 import Event

  with Writers(
    tmp_path, CONFIG, QUIET._replace(tensorboard=True)
  ) as open_writers:
    open_writers.write(TRAIN)
    open_writers.write(VALID)
    open_writers.figure('curve', png(tmp_path / 'curve.png'))
  (file,) = (tmp_path / 'tensorboard').iterdir()
  data, events = file.read_bytes(), []
  while data:
    size = struct.unpack('<Q', data[:8])[0]
    events.append(Event.FromString(data[12 : 12 + size]))
    data = data[16 + size :]
  values = [(e.step, v) for e in events for v in e.summary.value]
  scalars = {v.tag: (s, v.simple_value) for s, v in values if v.simple_value}
  assert scalars['train/loss'] == (400, pytest.approx(2.113))
  assert scalars['valid/accuracy'] == (400, pytest.approx(0.39))
  (picture,) = [v.image for _, v in values if v.HasField('image')]
  assert (picture.height, picture.width) == (3, 4)


def test_what_is_off_is_not_imported(tmp_path: Path) -> None:
  script = f"""
import pathlib, sys
from memjax.logs.settings import LogSettings
from memjax.logs.writers import Writers
path = pathlib.Path({str(tmp_path)!r})
with Writers(path, {{}}, LogSettings{(*QUIET,)}) as writers:
  writers.write({{'step': 1, 'split': 'train', 'metrics': {{'loss': 1.0}}}})
heavy = {{'wandb', 'tensorboardX', 'jax', 'matplotlib'}}
print(sorted(heavy & set(sys.modules)))
"""
  ran = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert ran.stdout.splitlines()[-1] == '[]'
  assert sorted(p.name for p in tmp_path.iterdir()) == ['metrics.jsonl']
