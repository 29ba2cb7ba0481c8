"""A file that changes under a process or under a run is noticed."""

import os
from pathlib import Path
import time

import numpy as np
import pytest

from memjax.data import ids, known
from memjax.data.corpus import close_corpora
from memjax.errors import ConfigError
from memjax.runs.workdir import claim
from memjax.tasks.language.text import Text
from tests.small import small


@pytest.fixture(autouse=True)
def old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
  """Files seem to have been written a minute ago, so their times count."""
  now = time.time_ns
  monkeypatch.setattr(known.time, 'time_ns', lambda: now() + 60 * 10**9)
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))


def text_of(task: Text) -> str:
  tokenizer = task.text_tokenizer
  assert tokenizer is not None
  return tokenizer.decode(task._splits[0].tokens.tolist())


def test_a_text_made_again_sees_the_changed_file(tmp_path: Path) -> None:
  path = tmp_path / 'text'
  path.write_text('the cat ' * 100)
  first = Text(corpus='files', path=str(path))
  assert text_of(first).startswith('the cat')
  for word in ('dog', 'horse'):
    path.write_text(f'the {word} ' * 100)
    again = Text(corpus='files', path=str(path))
    assert text_of(again).startswith(f'the {word}')
    assert again.fingerprint() != first.fingerprint()
    assert again == first
  assert text_of(first).startswith('the cat')


def test_a_file_that_is_added_to_a_folder_is_seen(tmp_path: Path) -> None:
  folder = tmp_path / 'texts'
  folder.mkdir()
  for i in range(30):
    (folder / f'{i:02}').write_text(f'text {i}\n')
  before = Text(corpus='files', path=str(folder)).documents
  (folder / '00a').write_text('one more\n')
  after = Text(corpus='files', path=str(folder)).documents
  assert '00a' in set(after) - set(before)


def test_a_run_goes_on_with_a_touched_file_and_not_with_a_changed_one(
  tmp_path: Path,
) -> None:
  path, workdir = tmp_path / 'text', tmp_path / 'run'
  workdir.mkdir()
  path.write_text('the cat ' * 100)
  fields = {'task.corpus': 'files', 'task.path': str(path)}

  def start() -> None:
    claim(workdir, small('text', 'lstm', fields))

  start()
  start()
  os.utime(path)
  start()
  stat = path.stat()
  path.write_text('the cab ' * 100)
  os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  with pytest.raises(ConfigError, match='its data have changed'):
    start()
  path.write_text('the cat ' * 100)
  start()


def test_hashing_all_finds_what_sizes_and_times_do_not_show(
  tmp_path: Path,
) -> None:
  path = tmp_path / 'text'
  path.write_text('the cat ' * 100)
  corpora = Text(corpus='files', path=str(path))._corpora
  assert corpora.faults() == []
  (tokens,) = (tmp_path / 'cache').rglob('train.tokens')
  stat = tokens.stat()
  tokens.write_bytes(tokens.read_bytes()[:-1] + b'X')
  os.utime(tokens, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  (fault,) = corpora.faults()
  assert (
    fault == f'{tokens.parent} is damaged; the next start prepares it again'
  )
  path.write_text('the dog ' * 100)
  assert corpora.faults()[1:] == [f'{path} has changed since it was prepared']


def test_files_of_ids_are_hashed_once(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'ids.bin'
  np.arange(4000, dtype='<u2').tofile(path)

  def made() -> Text:
    return Text(corpus='files', path=str(path), tokens='ids', vocab=4001)

  first = made()
  before = first.fingerprint()
  close_corpora()
  monkeypatch.setattr(ids, 'hash_ids', None)
  assert made().fingerprint() == before
  monkeypatch.undo()
  corpora = first._corpora
  assert corpora.faults() == []
  np.arange(1, 4001, dtype='<u2').tofile(path)
  assert corpora.faults() == [f'{path} has changed since it was prepared']
