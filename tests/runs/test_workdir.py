"""run.json says how a run ended; a damaged JSON file is one line."""

from collections.abc import Callable
import contextlib
import json
import os
from pathlib import Path

import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, Diverged
from memjax.runs.interface import read_interface
from memjax.runs.json_files import write_json
from memjax.runs.workdir import open_run, read_config, read_run
from tests.small import small


@pytest.fixture(scope='module')
def experiment() -> Experiment:
  return small('adding', 'gru', {'parallel.data': 1})


@pytest.mark.parametrize(
  ('end', 'error', 'state', 'reason'),
  [
    ('the last step', None, 'finished', 'the last step'),
    ('', None, 'stopped', 'SIGTERM or Ctrl-C'),
    ('', Diverged('the loss is nan'), 'diverged', 'the loss is nan'),
    ('', OSError(28, 'disk full'), 'failed', '[Errno 28] disk full'),
    ('', KeyboardInterrupt(), 'failed', 'KeyboardInterrupt'),
  ],
)
def test_the_record_says_how_a_run_ended(
  experiment: Experiment,
  tmp_path: Path,
  end: str,
  error: BaseException | None,
  state: str,
  reason: str,
) -> None:
  for start in (1, 2):
    raised = pytest.raises(type(error)) if error else contextlib.nullcontext()
    with raised, open_run(experiment, tmp_path) as run:
      record = read_run(tmp_path)
      assert (record.state, record.reason) == ('running', '')
      assert len(record.starts) == start
      (tmp_path / f'checkpoints/{start * 10}').mkdir(parents=True)
      run.end = end
      if error:
        raise error
    record = read_run(tmp_path)
    assert (record.state, record.step) == (state, start * 10)
    assert record.reason == reason
    assert len(record.starts) == start


@pytest.mark.parametrize(
  ('name', 'field', 'read'),
  [
    ('config.json', 'train', read_config),
    ('interface.json', 'input_spec', read_interface),
    ('run.json', 'state', read_run),
  ],
)
def test_a_damaged_file_is_one_line_that_names_it(
  experiment: Experiment,
  tmp_path: Path,
  name: str,
  field: str,
  read: Callable[[Path], object],
) -> None:
  with open_run(experiment, tmp_path):
    pass
  read(tmp_path)
  path = tmp_path / name
  whole = path.read_bytes()
  record = json.loads(whole)
  record[field] = {'kind': 'Nothing'}
  unknown = json.dumps(record).encode()
  del record[field]
  contents = [whole[: len(whole) // 2], b'', b'\xff\xfe', b'[]', b'null']
  contents.append(json.dumps(record).encode())
  if name == 'interface.json':
    contents.append(unknown)
  for content in contents:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
      read(tmp_path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)
  path.unlink()
  with pytest.raises(ConfigError, match=f'has no {name}'):
    read(tmp_path)


def test_a_file_is_replaced_whole(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'run.json'
  write_json(path, {'step': 1})
  synced: list[bool] = []
  fsync = os.fsync

  def fail_at_first(handle: int) -> None:
    synced.append(json.loads(path.read_text()) == {'step': 2})
    if len(synced) == 1:
      raise OSError(28, 'No space left on device')
    fsync(handle)

  monkeypatch.setattr(os, 'fsync', fail_at_first)
  with pytest.raises(OSError, match='No space'):
    write_json(path, {'step': 2})
  assert json.loads(path.read_text()) == {'step': 1}
  synced[1:] = []
  write_json(path, {'step': 2})
  assert synced[1:] == [False, True]  # the file, then the folder's names
