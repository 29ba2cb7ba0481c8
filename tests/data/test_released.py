"""Released corpora have the released text and splits, from any source."""

from collections.abc import Iterator
import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
import re
import zipfile

import pytest

from memjax.data import pg19
from memjax.data.corpus import CORPORA, Corpus, close_corpora, open_corpus
from memjax.data.download import File
from memjax.data.local_sources import text_files
from memjax.data.released import NAMES, RELEASED, Released, open_released
from memjax.data.sources import Source
from memjax.data.splits import SPLITS
from memjax.errors import ConfigError
from tests.racing import raced
from tests.served import served

SHAKESPEARE = Path(os.environ.get('MEMJAX_DATA', 'no')) / 'tinyshakespeare'
TEXT = b''.join(b'%d words and more\n' % i for i in range(300))
CUTS = 3000, 4001  # the second inside a word


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  close_corpora()
  yield tmp_path / 'cache'
  close_corpora()


def packed(members: dict[str, bytes]) -> bytes:
  archive = io.BytesIO()
  with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as content:
    for name, text in members.items():
      content.writestr(name, text)
  return archive.getvalue()


def holding(file: File, address: str, content: bytes) -> File:
  """The same file entry, with the digest of another content."""
  digest = hashlib.sha256(content).hexdigest()
  url = f'{address}/{file.name}'
  return file._replace(url=url, size=len(content), sha256=digest)


def register(
  monkeypatch: pytest.MonkeyPatch, name: str, address: str, content: bytes
) -> Released:
  """Registers the test server's content under the name of a corpus."""
  entry = RELEASED[name]
  entry = dataclasses.replace(
    entry,
    file=holding(entry.file, address, content),
    text=entry.text and holding(entry.text, address, TEXT),
    cuts=entry.cuts and CUTS,
  )
  monkeypatch.setitem(RELEASED, name, entry)
  return entry


def text_of(source: Source) -> list[bytes]:
  return [b''.join(p.text for p in source.pieces(s)) for s in SPLITS]


def tokens_of(corpus: Corpus) -> list[bytes]:
  return [corpus.splits[split].tokens.tobytes() for split in SPLITS]


def pieces_of(text: bytes) -> list[bytes]:
  first, second = CUTS
  return [text[:first], text[first:second], text[second:]]


def test_every_registered_corpus_is_complete() -> None:
  assert set(CORPORA) == {'standard_library', 'files', *NAMES}
  entries = list(RELEASED.values())
  assert len({entry.file.sha256 for entry in entries}) == len(entries) == 7
  for entry in entries:
    for file in (entry.file, *([entry.text] if entry.text else [])):
      assert re.fullmatch('[0-9a-f]{64}', file.sha256)
      assert re.fullmatch(r'https?://[^/]+/.*\w', file.url)
      assert file.size > 1_000_000
    assert len(entry.members) == 3 or len(entry.cuts) == 2
  assert RELEASED['text8'].cuts == RELEASED['enwik8'].cuts
  assert RELEASED['text8'].cuts == (90_000_000, 95_000_000)
  kinds = [RELEASED[name].members[1] for name in NAMES if 'wiki' in name[:4]]
  assert kinds == [
    'wikitext-2/wiki.valid.tokens',
    'wikitext-2-raw/wiki.valid.raw',
    'wikitext-103/wiki.valid.tokens',
    'wikitext-103-raw/wiki.valid.raw',
  ]


@pytest.mark.parametrize('name', ['enwik8', 'text8', 'tiny_shakespeare'])
def test_a_single_text_is_cut_as_in_the_literature(
  monkeypatch: pytest.MonkeyPatch, cache: Path, name: str
) -> None:
  zipped = name != 'tiny_shakespeare'
  content = packed({name: TEXT, 'else': b'x'}) if zipped else TEXT
  with served(monkeypatch, {RELEASED[name].file.name: content}) as (
    at,
    requests,
  ):
    register(monkeypatch, name, at, content)
    source = open_released(name)
    assert text_of(source) == pieces_of(TEXT)
    assert requests == [RELEASED[name].file.name]
    corpus = open_corpus(name, '', 'bytes')
    assert tokens_of(corpus) == pieces_of(TEXT)
  assert (
    open_released(name).fingerprint == source.fingerprint
  )  # the server is stopped
  assert source.line_ends
  files = [path.name for path in cache.rglob('*') if path.is_file()]
  assert 'else' not in files


def test_the_splits_of_wikitext_are_its_files(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  members = RELEASED['wikitext-2'].members
  texts = [b' = <unk> = \n' * 9, b' valid \n', b' a test \n \n']
  content = packed(dict(zip(members, texts, strict=True)))
  with served(monkeypatch, {'wikitext-2-v1.zip': content}) as (address, _):
    register(monkeypatch, 'wikitext-2', address, content)
    assert text_of(open_released('wikitext-2')) == texts
  corpus = open_corpus('wikitext-2', '', 'words')
  assert corpus.tokenizer is not None
  assert corpus.tokenizer.to_json()['symbols'] == ['<unk>', '<eos>', '=']
  words = [corpus.splits[split].tokens.tolist() for split in SPLITS]
  assert words == [[2, 0, 2, 1] * 9, [0, 1], [0, 0, 1, 1]]


def test_the_text_is_accepted_without_its_archive(
  monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
  entry = register(monkeypatch, 'enwik8', 'http://127.0.0.1:1', b'other')
  manual = cache / 'downloads' / 'manual'
  manual.mkdir(parents=True)
  (manual / 'enwik8').write_bytes(TEXT)
  assert text_of(open_released('enwik8')) == pieces_of(TEXT)
  (manual / 'enwik8').write_bytes(TEXT[:-1] + b'x')
  assert entry.text
  released_digest = f'the released file has {entry.text.sha256}'
  with pytest.raises(ConfigError, match=released_digest):
    open_released('enwik8')


def test_a_released_text_and_an_equal_file_have_separate_caches(
  monkeypatch: pytest.MonkeyPatch,
  tmp_path: Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  (tmp_path / 'text').write_bytes(TEXT)
  spans = text_files(str(tmp_path / 'text')).spans
  cuts = tuple(spans[split].first for split in SPLITS[1:])
  with served(monkeypatch, {'tinyshakespeare.txt': TEXT}) as (address, _):
    entry = register(monkeypatch, 'tiny_shakespeare', address, TEXT)
    same = dataclasses.replace(entry, cuts=cuts)
    monkeypatch.setitem(RELEASED, 'tiny_shakespeare', same)
    mine = open_corpus('files', str(tmp_path / 'text'), 'bytes')
    theirs = open_corpus('tiny_shakespeare', '', 'words')
    open_corpus('files', str(tmp_path / 'text'), 'characters')
  assert mine.source.digests == theirs.source.digests
  assert 'again' not in caplog.text


def test_offline_the_error_says_which_file_to_put_where(
  monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
  for name, entry in RELEASED.items():
    url = f'http://127.0.0.1:1/{entry.file.name}'
    file = entry.file._replace(url=url)
    changed = dataclasses.replace(entry, file=file)
    monkeypatch.setitem(RELEASED, name, changed)
    with pytest.raises(ConfigError) as error:
      open_corpus(name, '', 'bytes')
    message = str(error.value)
    assert message.startswith(f'corpus: {name!r}: {url} cannot be downloaded (')
    assert message.endswith(f'put {file.name} into {cache}/downloads/manual')
    assert '\n' not in message


@pytest.mark.parametrize('damage', ['archive', 'unpacked'])
def test_a_damaged_unpacked_text_is_unpacked_again(
  monkeypatch: pytest.MonkeyPatch,
  cache: Path,
  caplog: pytest.LogCaptureFixture,
  damage: str,
) -> None:
  content = packed({'text8': TEXT})
  with served(monkeypatch, {'text8.zip': content}) as (address, requests):
    register(monkeypatch, 'text8', address, content)
    open_released('text8')
    [text] = (cache / 'unpacked').rglob('text8')
    text.write_bytes(TEXT[:-1] + b'x')
    if damage == 'archive':
      (cache / 'downloads' / 'text8.zip').write_bytes(content[:-1])
    assert text_of(open_released('text8')) == pieces_of(TEXT)
    assert len(requests) == (2 if damage == 'archive' else 1)
  assert 'is damaged; preparing it again' in caplog.text


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    (packed({'other': TEXT}), "no item named 'text8'"),
    (b'no archive', 'not a zip file'),
  ],
)
def test_a_wrong_archive_is_one_line(
  monkeypatch: pytest.MonkeyPatch, cache: Path, content: bytes, words: str
) -> None:
  with served(monkeypatch, {'text8.zip': content}) as (address, _):
    register(monkeypatch, 'text8', address, content)
    with pytest.raises(ConfigError) as error:
      open_released('text8')
  path = cache / 'downloads' / 'text8.zip'
  start = f"corpus: 'text8': {path} cannot be unpacked: "
  assert str(error.value).startswith(start)
  assert words in str(error.value)
  assert list((cache / 'unpacked').iterdir()) == []


IMPORTS = """
import dataclasses, sys
from memjax.data.released import RELEASED, open_released
url, size, sha256 = sys.argv[1:]
entry = RELEASED['text8']
file = entry.file._replace(url=url, size=int(size), sha256=sha256)
RELEASED['text8'] = dataclasses.replace(entry, file=file, cuts=(9, 10))
"""
RACE = "print(*open_released('text8').digests.values())"


def test_parallel_processes_download_and_unpack_once(
  monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
  content = packed({'text8': TEXT})
  with served(monkeypatch, {'text8.zip': content}, delay=0.3) as server:
    address, requests = server
    file = holding(RELEASED['text8'].file, address, content)
    words = [file.url, str(file.size), file.sha256]
    answers = raced(IMPORTS, RACE, words, 2)
    assert len(requests) == 1
  parts = TEXT[:9], TEXT[9:10], TEXT[10:]
  digests = ' '.join(hashlib.sha256(part).hexdigest() for part in parts)
  assert answers == [(f'{digests}\n', '')] * 2


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
  """A small PG-19: {path in the bucket: content}."""
  books = {'train': ['10', '100', '9'], 'validation': ['5'], 'test': ['7', '1']}
  texts = {
    f'{split}/{number}.txt': f'{split} {number}\nends'.encode()
    for split, numbers in books.items()
    for number in numbers
  }
  listed = {
    f'gs://deepmind-gutenberg/{name}': {
      'num_bytes': len(text),
      'checksum': hashlib.sha256(text).hexdigest(),
    }
    for name, text in texts.items()
  }
  for other in ('train', 'metadata.csv'):
    listed[f'gs://deepmind-gutenberg/{other}'] = {}
  infos = json.dumps({'default': {'download_checksums': listed}}).encode()
  counts = {split: len(numbers) for split, numbers in books.items()}
  monkeypatch.setattr(pg19, 'BOOKS', counts)
  return texts | {'pg19/dataset_infos.json': infos}


def shelved(
  monkeypatch: pytest.MonkeyPatch, address: str, shelf: dict[str, bytes]
) -> None:
  monkeypatch.setattr(pg19, 'BUCKET', address)
  size = len(shelf['pg19/dataset_infos.json'])
  name = 'pg19/dataset_infos.json'
  monkeypatch.setattr(pg19, 'LIST', File(f'{address}/{name}', name, size, ''))


def test_the_books_of_pg19_are_documents(
  monkeypatch: pytest.MonkeyPatch, shelf: dict[str, bytes], cache: Path
) -> None:
  with served(monkeypatch, shelf) as (address, requests):
    shelved(monkeypatch, address, shelf)
    source = open_released('pg19')
    assert len(requests) == 7
  train = [shelf[f'train/{number}.txt'] for number in ('10', '100', '9')]
  test = [shelf[f'test/{number}.txt'] for number in ('1', '7')]
  ended = [*(book + b'\n' for book in train[:-1]), train[-1]]
  whole = [b''.join(ended), shelf['validation/5.txt'], b'\n'.join(test)]
  assert text_of(source) == whole
  assert not source.line_ends
  corpus = open_corpus('pg19', '', 'bytes')
  starts = [len(b''.join(ended[:i])) for i in range(3)]
  assert corpus.splits['train'].starts.tolist() == starts
  assert tokens_of(corpus) == whole


def test_a_missing_or_wrong_book_is_named_in_the_error(
  monkeypatch: pytest.MonkeyPatch, shelf: dict[str, bytes], cache: Path
) -> None:
  for name, text in shelf.items():
    inside = name if name.startswith('pg19/') else f'pg19/{name}'
    path = cache / 'downloads' / 'manual' / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
  shelved(monkeypatch, 'http://127.0.0.1:1', shelf)
  assert text_of(open_released('pg19'))[1] == shelf['validation/5.txt']
  book = cache / 'downloads' / 'manual' / 'pg19' / 'train' / '9.txt'
  book.write_bytes(shelf['train/9.txt'][:-1] + b'x')
  with pytest.raises(ConfigError, match=r'train/9\.txt has SHA-256 .*; the'):
    open_released('pg19')
  book.unlink()
  with pytest.raises(ConfigError, match=r'put pg19/train/9\.txt into'):
    open_released('pg19')
  monkeypatch.setitem(pg19.BOOKS, 'test', 100)
  with pytest.raises(ConfigError, match=r"'test': 2.*, not .*'test': 100"):
    open_released('pg19')


@pytest.mark.skipif(
  not SHAKESPEARE.is_dir(), reason='MEMJAX_DATA has no tinyshakespeare/'
)
def test_tiny_shakespeare_placed_by_hand(cache: Path) -> None:
  text = (SHAKESPEARE / 'input.txt').read_bytes()
  path = cache / 'downloads' / 'manual' / 'input.txt'
  path.parent.mkdir(parents=True)
  path.write_bytes(text)
  source = open_released('tiny_shakespeare')
  assert [file.path for file in source.files] == [path]
  assert source.size == 1_115_394
  train, validation, test = text_of(source)
  assert train + validation + test == text
  # TFDS: the first 90 % are train, half of what is left is validation.
  assert len(train) == int(len(text) * 0.9)
  assert len(validation) == int((len(text) - len(train)) * 0.5)
  assert open_released('tiny_shakespeare').digests == source.digests
