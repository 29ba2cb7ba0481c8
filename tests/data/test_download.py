"""A released file is the one that was released, placed by hand or fetched."""

from collections.abc import Callable
import hashlib
import logging
from pathlib import Path

import pytest

from memjax.data import download
from memjax.data.download import Asked, File, fetched, fetched_all
from memjax.errors import ConfigError
from tests.served import served

TEXT = bytes(range(256)) * 50
ASKED = Asked('corpus', 'some', ', or do without')


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache' / 'downloads'


def file_at(address: str, name: str = 'one.zip', text: bytes = TEXT) -> File:
  digest = hashlib.sha256(text).hexdigest()
  return File(f'{address}/{name}', name, len(text), digest, ('other.zip',))


def place(folder: Path, name: str, text: bytes) -> Path:
  path = folder / 'manual' / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(text)
  return path


def test_a_file_is_fetched_once_and_told_of(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  caplog.set_level(logging.INFO)
  monkeypatch.setattr(download, 'CHUNK', len(TEXT) // 4 + 1)
  with served(monkeypatch, {'one.zip': TEXT}) as (address, asked):
    file = file_at(address)
    assert fetched(file, ASKED) == downloads / 'one.zip'
    assert asked == ['one.zip']
  assert [path.name for path in downloads.iterdir()] == ['one.zip']
  said = [record.getMessage() for record in caplog.records]
  assert len(said) == 5
  assert said[0].startswith(f'fetching {file.url}: ')
  assert fetched(file, ASKED).read_bytes() == TEXT  # the server is gone
  assert len(caplog.records) == 5


def test_a_damaged_file_is_fetched_again(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  with served(monkeypatch, {'one.zip': TEXT}) as (address, asked):
    file = file_at(address)
    for damaged in (TEXT[:-1], TEXT[:-1] + b'x', TEXT + b'x'):
      downloads.mkdir(parents=True, exist_ok=True)
      (downloads / 'one.zip').write_bytes(damaged)
      (downloads / 'one.zip.partial').write_bytes(TEXT[:9])
      assert fetched(file, ASKED).read_bytes() == TEXT
    assert len(asked) == 3
  assert caplog.text.count('is damaged and fetched again') == 3
  assert [path.name for path in downloads.iterdir()] == ['one.zip']


@pytest.mark.parametrize('fault', ['short', 'other', 'long', 'gone', 'nobody'])
def test_what_does_not_come_is_one_line(
  downloads: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
  short = 9 if fault == 'short' else 0
  with served(monkeypatch, {'one.zip': TEXT}, short) as (address, _):
    file = file_at(address)
    if fault == 'other':
      file = file._replace(sha256='0' * 64)
    if fault == 'long':
      file = file_at(address, text=TEXT[:-7])
    if fault == 'gone':
      file = file_at(f'{address}/elsewhere')
    if fault == 'nobody':
      file = file_at('http://127.0.0.1:1')
    with pytest.raises(ConfigError) as error:
      fetched(file, ASKED)
  wrong = {
    'short': 'came, and has 12,791 bytes, not the 12,800 of the release',
    'other': f'came, and has SHA-256 {file_at("").sha256}, not 0000',
    'long': 'came, and has 12,800 bytes, not the 12,793 of the release',
    'gone': 'cannot be fetched (Not Found)',
    'nobody': 'cannot be fetched ([Errno',
  }[fault]
  said = str(error.value)
  assert said.startswith(f"corpus: 'some': {file.url} {wrong}")
  put = f'; put one.zip into {downloads / "manual"}, or do without'
  assert said.endswith(put)
  assert '\n' not in said
  assert [path for path in downloads.rglob('*') if path.is_file()] == []


@pytest.mark.parametrize('name', ['one.zip', 'other.zip'])
def test_a_file_placed_by_hand_is_used_as_it_is(
  downloads: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
  path = place(downloads, name, TEXT)
  with served(monkeypatch, {}) as (address, asked):
    assert fetched(file_at(address), ASKED) == path
    assert asked == []


@pytest.mark.parametrize('damage', [lambda t: t[:-1], lambda t: t[:-1] + b'x'])
def test_another_file_placed_by_hand_is_refused(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  damage: Callable[[bytes], bytes],
) -> None:
  path = place(downloads, 'one.zip', damage(TEXT))
  with served(monkeypatch, {'one.zip': TEXT}) as (address, asked):
    with pytest.raises(ConfigError) as error:
      fetched(file_at(address), ASKED)
    assert asked == []
  assert str(error.value).startswith(f"corpus: 'some': {path} has ")
  assert 'remove it, or put the released file there' in str(error.value)
  assert path.exists()


def test_without_a_published_digest_the_size_must_do(
  downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with served(monkeypatch, {'one.zip': TEXT}) as (address, _):
    file = file_at(address)._replace(sha256='')
    assert fetched(file, ASKED).read_bytes() == TEXT
    place(downloads, 'one.zip', TEXT + b'x')
    with pytest.raises(ConfigError, match=r'12,801 bytes, not the 12,800'):
      fetched(file, ASKED)


def test_many_files_come_in_their_order(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  caplog.set_level(logging.INFO)
  texts = {f'a/{i}.txt': bytes([i]) * (i + 1) for i in range(40)}
  with served(monkeypatch, texts) as (address, asked):
    files = [file_at(address, *text) for text in texts.items()]
    paths = fetched_all(files, ASKED)
    assert sorted(asked) == sorted(texts)
    assert paths == [downloads / name for name in texts]
    assert [path.read_bytes() for path in paths] == list(texts.values())
    assert len([r for r in caplog.records if 'fetched' in r.message]) == 10
    wrong = files[20]._replace(url=f'{address}/none', name='b.txt')
    with pytest.raises(ConfigError, match=r'none cannot .* put b\.txt into'):
      fetched_all([*files, wrong, wrong], ASKED)
