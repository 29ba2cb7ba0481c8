"""A released file is verified, whether placed by hand or downloaded."""

from collections.abc import Callable
import hashlib
import logging
from pathlib import Path

import pytest

from memjax.data import download
from memjax.data.download import File, Setting, fetch, fetch_all
from memjax.errors import ConfigError
from tests.served import served

TEXT = bytes(range(256)) * 50
SETTING = Setting('corpus', 'some', ', or do without')


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


def test_a_file_is_downloaded_once_and_its_progress_logged(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  caplog.set_level(logging.INFO)
  monkeypatch.setattr(download, 'CHUNK', len(TEXT) // 4 + 1)
  with served(monkeypatch, {'one.zip': TEXT}) as (address, requests):
    file = file_at(address)
    assert fetch(file, SETTING) == downloads / 'one.zip'
    assert requests == ['one.zip']
  assert [path.name for path in downloads.iterdir()] == ['one.zip']
  messages = [record.getMessage() for record in caplog.records]
  assert len(messages) == 5
  assert messages[0].startswith(f'downloading {file.url}: ')
  assert fetch(file, SETTING).read_bytes() == TEXT  # the server is stopped
  assert len(caplog.records) == 5


def test_a_damaged_file_is_downloaded_again(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  with served(monkeypatch, {'one.zip': TEXT}) as (address, requests):
    file = file_at(address)
    for damaged in (TEXT[:-1], TEXT[:-1] + b'x', TEXT + b'x'):
      downloads.mkdir(parents=True, exist_ok=True)
      (downloads / 'one.zip').write_bytes(damaged)
      (downloads / 'one.zip.partial').write_bytes(TEXT[:9])
      assert fetch(file, SETTING).read_bytes() == TEXT
    assert len(requests) == 3
  assert caplog.text.count('is damaged; downloading it again') == 3
  assert [path.name for path in downloads.iterdir()] == ['one.zip']


@pytest.mark.parametrize('fault', ['short', 'other', 'long', 'gone', 'nobody'])
def test_a_failed_download_is_one_line(
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
      fetch(file, SETTING)
  wrong = {
    'short': 'was downloaded but has 12,791 bytes; '
    'the released file has 12,800',
    'other': f'was downloaded but has SHA-256 {file_at("").sha256}; '
    'the released file has 0000',
    'long': 'was downloaded but has 12,800 bytes; the released file has 12,793',
    'gone': 'cannot be downloaded (Not Found)',
    'nobody': 'cannot be downloaded ([Errno',
  }[fault]
  message = str(error.value)
  assert message.startswith(f"corpus: 'some': {file.url} {wrong}")
  advice = f'; put one.zip into {downloads / "manual"}, or do without'
  assert message.endswith(advice)
  assert '\n' not in message
  assert [path for path in downloads.rglob('*') if path.is_file()] == []


@pytest.mark.parametrize('name', ['one.zip', 'other.zip'])
def test_a_file_placed_by_hand_is_used(
  downloads: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
  path = place(downloads, name, TEXT)
  with served(monkeypatch, {}) as (address, requests):
    assert fetch(file_at(address), SETTING) == path
    assert requests == []


@pytest.mark.parametrize('damage', [lambda t: t[:-1], lambda t: t[:-1] + b'x'])
def test_a_wrong_file_placed_by_hand_is_refused(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  damage: Callable[[bytes], bytes],
) -> None:
  path = place(downloads, 'one.zip', damage(TEXT))
  with served(monkeypatch, {'one.zip': TEXT}) as (address, requests):
    with pytest.raises(ConfigError) as error:
      fetch(file_at(address), SETTING)
    assert requests == []
  assert str(error.value).startswith(f"corpus: 'some': {path} has ")
  assert 'delete it, or put the released file there' in str(error.value)
  assert path.exists()


def test_without_a_published_digest_the_size_is_checked(
  downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with served(monkeypatch, {'one.zip': TEXT}) as (address, _):
    file = file_at(address)._replace(sha256='')
    assert fetch(file, SETTING).read_bytes() == TEXT
    place(downloads, 'one.zip', TEXT + b'x')
    with pytest.raises(
      ConfigError, match=r'12,801 bytes; the released file has 12,800'
    ):
      fetch(file, SETTING)


def test_paths_of_many_files_keep_their_order(
  downloads: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  caplog.set_level(logging.INFO)
  texts = {f'a/{i}.txt': bytes([i]) * (i + 1) for i in range(40)}
  with served(monkeypatch, texts) as (address, requests):
    files = [file_at(address, *text) for text in texts.items()]
    paths = fetch_all(files, SETTING)
    assert sorted(requests) == sorted(texts)
    assert paths == [downloads / name for name in texts]
    assert [path.read_bytes() for path in paths] == list(texts.values())
    assert len([r for r in caplog.records if 'downloaded' in r.message]) == 10
    wrong = files[20]._replace(url=f'{address}/none', name='b.txt')
    with pytest.raises(ConfigError, match=r'none cannot .* put b\.txt into'):
      fetch_all([*files, wrong, wrong], SETTING)
