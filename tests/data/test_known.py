"""A file is read again when it may have changed, and only then."""

import os
from pathlib import Path
import time

import pytest

from memjax.data import known as module
from memjax.data.cache import fill_folder, read_filled
from memjax.data.known import known, known_digest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


class Reads:
  """Answers with a file's content and counts how often it was asked."""

  def __init__(self, path: Path):
    self.path, self.count = path, 0

  def __call__(self) -> bytes:
    self.count += 1
    return self.path.read_bytes()

  def ask(self, question: str = 'content') -> bytes:
    return known(self.path, question, self)


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reads:
  """A file that seems to have been written a minute ago."""
  path = tmp_path / 'text'
  path.write_bytes(b'abc')
  now = time.time_ns
  monkeypatch.setattr(module.time, 'time_ns', lambda: now() + 60 * 10**9)
  return Reads(path)


def test_a_file_is_read_once_for_a_question(settled: Reads) -> None:
  assert [settled.ask() for _ in range(3)] == [b'abc'] * 3
  assert settled.count == 1
  module._open.cache_clear()  # as in a new process
  assert settled.ask() == b'abc'
  assert settled.count == 1
  assert settled.ask('another') == b'abc'
  assert settled.count == 2


def test_a_change_is_seen_whatever_its_size_and_time(settled: Reads) -> None:
  settled.ask()
  stat = settled.path.stat()
  settled.path.write_bytes(b'xyz')
  os.utime(settled.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  assert settled.ask() == b'xyz'
  settled.path.write_bytes(b'xy')
  assert settled.ask() == b'xy'
  assert settled.count == 3
  settled.path.unlink()
  with pytest.raises(FileNotFoundError):
    settled.ask()


def test_nothing_is_kept_of_a_file_that_was_just_written(
  tmp_path: Path,
) -> None:
  (tmp_path / 'text').write_bytes(b'abc')
  reads = Reads(tmp_path / 'text')
  assert [reads.ask(), reads.ask()] == [b'abc', b'abc']
  assert reads.count == 2


def test_nothing_is_kept_of_a_file_that_changes_while_it_is_read(
  settled: Reads,
) -> None:
  def change() -> bytes:
    text = settled()
    settled.path.write_bytes(b'wxyz')
    return text

  assert known(settled.path, 'content', change) == b'abc'
  assert settled.ask() == b'wxyz'


@pytest.mark.parametrize('damage', [b'', b'no table' * 999])
def test_a_damaged_table_is_made_again(
  settled: Reads, cache: Path, damage: bytes
) -> None:
  settled.ask()
  module._open.cache_clear()
  (cache / 'known.sqlite').write_bytes(damage)
  assert [settled.ask() for _ in range(3)] == [b'abc'] * 3
  assert settled.count <= 3
  before = settled.count
  settled.ask()
  assert settled.count == before


def test_a_cache_that_cannot_be_written_is_done_without(
  settled: Reads, cache: Path
) -> None:
  cache.write_bytes(b'')
  module._open.cache_clear()
  assert [settled.ask(), settled.ask()] == [b'abc', b'abc']
  assert settled.count == 2


def test_the_digest_is_that_of_the_content(settled: Reads) -> None:
  digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  assert known_digest(settled.path) == known_digest(settled.path) == digest


def test_a_filled_folder_is_not_read_again(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  place = tmp_path / 'place'
  with fill_folder(place) as (folder, record):
    (folder / 'tokens').write_bytes(b'abc')
    record['vocab'] = 7
  hashed = []

  def digest(path: Path) -> str:
    hashed.append(path)
    return genuine(path)

  from memjax.data import cache as cache_module

  genuine = cache_module.file_digest
  monkeypatch.setattr(cache_module, 'file_digest', digest)
  whole = read_filled(place)
  assert whole is not None
  assert (whole['vocab'], hashed) == (7, [])
  # A copy has other times: it is hashed once.
  os.utime(place / 'tokens')
  assert read_filled(place) == read_filled(place) == whole
  assert len(hashed) == 1
  # A change that leaves size and time is found by hashing.
  stat = (place / 'tokens').stat()
  (place / 'tokens').write_bytes(b'abd')
  os.utime(place / 'tokens', ns=(stat.st_atime_ns, stat.st_mtime_ns))
  assert read_filled(place) == whole
  assert read_filled(place, hashed=True) is None
  (place / 'tokens').write_bytes(b'abd')
  assert read_filled(place) is None
