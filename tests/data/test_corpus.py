"""A prepared corpus has the whole text, even after damage to the cache."""

from collections.abc import Callable, Iterator
import logging
import lzma
import os
from pathlib import Path
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from memjax.data import corpus as corpora
from memjax.data import formats
from memjax.data.corpus import Corpus, close_corpora, open_corpus
from memjax.data.local_sources import text_files
from memjax.data.records import open_records, regroup_words
from memjax.data.sources import Piece
from memjax.data.splits import SPLITS
from memjax.data.tokenizers import Bytes, Words
from memjax.errors import ConfigError
from tests.racing import raced

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  close_corpora()
  yield tmp_path / 'cache'
  close_corpora()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
  rng = random.Random(0)
  (tmp_path / 'texts').mkdir()
  for i in range(120):
    text = ''.join(rng.choices('abc é€\n', k=rng.randint(0, 90)))
    (tmp_path / f'texts/{i:03}.txt').write_text(text, encoding='utf-8')
  return tmp_path / 'texts'


def opened(folder: Path, tokens: str = 'bytes', vocab: int = 0) -> Corpus:
  """The corpus, opened as in a new process."""
  close_corpora()
  return open_corpus('files', str(folder), tokens, vocab)


def text_of(folder: Path) -> bytes:
  """The documents, each but the last ended as a line is."""
  texts = [path.read_bytes() for path in sorted(folder.iterdir())]
  *others, last = filter(None, texts)
  ended = [text if text.endswith(b'\n') else text + b'\n' for text in others]
  return b''.join([*ended, last])


def tokens_of(corpus: Corpus) -> bytes:
  return b''.join(corpus.splits[split].tokens.tobytes() for split in SPLITS)


def test_byte_tokens_are_the_bytes_of_the_text(folder: Path) -> None:
  corpus = opened(folder)
  assert tokens_of(corpus) == text_of(folder)
  starts = []
  for split, (_, first, last) in corpus.source.spans.items():
    text = text_of(folder)[first:last]
    prepared = corpus.splits[split]
    assert prepared.tokens.dtype == np.uint8
    assert not prepared.tokens.flags.writeable
    assert prepared.bytes == len(prepared.tokens) == len(text)
    assert prepared.characters == len(text.decode())
    starts += [int(start) + first for start in prepared.starts]
  sizes = corpus.source.sizes_D
  assert starts == [0, *np.cumsum(sizes)[:-1].tolist()]


def test_characters_are_those_of_the_training_text(tmp_path: Path) -> None:
  path = tmp_path / 'text'
  text = 'abcé' * 225 + 'abcd' * 12 + 'ab€😀' * 8
  path.write_text(text, encoding='utf-8')
  corpus = opened(path, 'characters')
  symbols = 'abcé'
  assert corpus.tokenizer is not None
  assert corpus.tokenizer.to_json()['symbols'] == symbols
  ids = np.concatenate([corpus.splits[split].tokens for split in SPLITS])
  assert ids.tolist() == [
    symbols.index(c) if c in symbols else len(symbols) for c in text
  ]
  for split, (_, first, last) in corpus.source.spans.items():
    part = text.encode()[first:last].decode()
    odd = [c for c in part if c not in symbols]
    prepared = corpus.splits[split]
    assert prepared.bytes == last - first
    assert prepared.characters == len(part) == len(prepared.tokens)
    assert prepared.unknown == len(odd)
    assert prepared.unknown_bytes == len(''.join(odd).encode())
  assert corpus.splits['train'].unknown == 0
  assert corpus.splits['test'].unknown > 0


@pytest.mark.parametrize('vocab', [0, 20])
def test_words_are_those_of_the_documents(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocab: int
) -> None:
  monkeypatch.setattr(formats, 'PIECE', 50)  # words are read in parts
  (tmp_path / 'texts').mkdir()
  rng = random.Random(0)
  for i in range(40):
    text = ''.join(rng.choices(['ab', 'é', ' ', '\n', '  \t'], k=200))
    (tmp_path / f'texts/{i:02}').write_text(text, encoding='utf-8')
  corpus = opened(tmp_path / 'texts', 'words', vocab)
  tokenizer = corpus.tokenizer
  assert isinstance(tokenizer, Words)
  assert len(tokenizer.symbols) == (vocab or tokenizer.vocab)
  for split, (_, first, last) in corpus.source.spans.items():
    expected, end = [], 0
    sizes = corpus.source.sizes_D.tolist()
    for path, size in zip(
      sorted((tmp_path / 'texts').iterdir()), sizes, strict=True
    ):
      start, end = end, end + size
      if first <= start < last:
        text = path.read_text(encoding='utf-8')
        text += '' if text.endswith('\n') or end == sum(sizes) else '\n'
        lines = text.split('\n')
        words = [word for line in lines for word in [*line.split(), '<eos>']]
        expected += words[:-1]
    known = set(tokenizer.symbols)
    expected = [word if word in known else '<unk>' for word in expected]
    assert split != 'train' or ('<unk>' in expected) == bool(vocab)
    ids = corpus.splits[split].tokens
    assert [tokenizer.symbols[i] for i in ids] == expected
    assert corpus.splits[split].words == len(expected) - 1


@pytest.mark.parametrize('seed', range(5))
def test_pieces_end_at_word_ends_and_cover_the_text(seed: int) -> None:
  rng = random.Random(seed)
  parts = ['a', 'bcde', 'fg\n', ' \n', '\t']
  texts = [' '.join(rng.choices(parts, k=200)).encode() for _ in range(3)]
  given = []
  for document, text in enumerate(texts):
    at = 0
    while at < len(text):
      piece = text[at : at + rng.randint(20, 60)]
      given.append(Piece(document, at, piece))
      at += len(piece)
  found = list(regroup_words(lambda split: iter(given))('train'))
  for document, text in enumerate(texts):
    own = [piece for piece in found if piece.document == document]
    assert b''.join(piece.text for piece in own) == text
    words = [word for piece in own for word in piece.text.split()]
    assert words == text.split()
    assert [text[p.offset :][: len(p.text)] for p in own] == [
      piece.text for piece in own
    ]
    assert all(piece.text[-1:].strip() for piece in own[:-1])


def test_a_split_without_words_is_refused(tmp_path: Path) -> None:
  (tmp_path / 'text').write_bytes(b'a b ' * 95 + b' ' * 20)
  assert len(opened(tmp_path / 'text').splits['test'].tokens) == 20
  with pytest.raises(ConfigError, match='the test split has no words'):
    opened(tmp_path / 'text', 'words')


def test_a_word_longer_than_a_piece_is_cut_between_pieces() -> None:
  given = [Piece(0, 0, b'x' * 50), Piece(0, 50, b'x' * 50), Piece(1, 0, b'y')]
  assert list(regroup_words(lambda split: iter(given))('train')) == given


def test_bpe_merges_do_not_depend_on_the_size_of_pieces(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  text = ''.join(random.Random(2).choices(['the ', 'cat', 'é\n\n  '], k=900))
  (tmp_path / 'text').write_text(text, encoding='utf-8')
  whole = opened(tmp_path / 'text', 'bpe', 270)
  shutil.rmtree(tmp_path / 'cache')
  monkeypatch.setattr(formats, 'PIECE', 40)
  parts = opened(tmp_path / 'text', 'bpe', 270)
  assert parts.tokenizer == whole.tokenizer
  assert tokens_of(parts) == tokens_of(whole)
  ids = [i for split in SPLITS for i in parts.splits[split].tokens]
  assert parts.tokenizer is not None
  assert parts.tokenizer.restore(ids).decode() == text
  assert parts.tokenizer.vocab == 270


def test_tfds_can_read_the_records(folder: Path, cache: Path) -> None:
  import tensorflow_datasets as tfds

  source = opened(folder).source
  data_dir = cache / 'records' / source.fingerprint / 'text_files' / '1.0.0'
  records = tfds.builder_from_directory(data_dir).as_data_source('validation')
  assert [
    (record['document'], record['offset'], record['text']) for record in records
  ] == [tuple(piece) for piece in source.pieces('validation')]


def test_a_corpus_is_prepared_once(folder: Path, cache: Path) -> None:
  def modified() -> dict[Path, int]:
    files = [path for path in cache.rglob('*') if path.is_file()]
    prepared = [path for path in files if path.name != 'known.sqlite']
    return {path: path.stat().st_mtime_ns for path in prepared}

  first = opened(folder)
  assert open_corpus('files', str(folder), 'bytes', 0) is first
  before = modified()
  assert tokens_of(opened(folder)) == text_of(folder)
  assert modified() == before
  opened(folder, 'characters')
  assert before.items() < modified().items()


def test_a_changed_file_is_another_corpus(folder: Path) -> None:
  before = opened(folder)
  path = folder / '060.txt'
  stat = path.stat()
  path.write_bytes(path.read_bytes().replace(b'a', b'b'))
  os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  after = opened(folder)
  assert after.source.fingerprint != before.source.fingerprint
  assert tokens_of(after) == text_of(folder)
  assert tokens_of(before) != text_of(folder)


def flip(path: Path) -> None:
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def cut(path: Path) -> None:
  path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
  path.write_bytes(path.read_bytes() + b'a')


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize('damage', [flip, cut, lengthen, Path.unlink])
@pytest.mark.parametrize('name', ['train.tokens', 'test.starts', 'meta.json'])
def test_damaged_tokens_are_prepared_again(
  folder: Path,
  cache: Path,
  caplog: pytest.LogCaptureFixture,
  damage: Callable[[Path], None],
  name: str,
) -> None:
  starts = opened(folder).splits['test'].starts.tolist()
  (place,) = (cache / 'tokens').iterdir()
  damage(place / name)
  caplog.clear()
  corpus = opened(folder)
  assert 'is damaged; preparing it again' in caplog.text
  assert tokens_of(corpus) == text_of(folder)
  assert corpus.splits['test'].starts.tolist() == starts
  caplog.clear()
  opened(folder)
  assert not caplog.text


def write_zeros(path: Path) -> None:
  content = path.read_bytes()
  path.write_bytes(content[:70] + bytes(len(content) - 70))


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize('damage', [write_zeros, cut, Path.unlink])
@pytest.mark.parametrize('name', ['*-train.array_record*', 'dataset_info.json'])
def test_damaged_records_are_recorded_again(
  folder: Path,
  cache: Path,
  caplog: pytest.LogCaptureFixture,
  damage: Callable[[Path], None],
  name: str,
) -> None:
  opened(folder)
  shutil.rmtree(cache / 'tokens')
  (path,) = (cache / 'records').rglob(name)
  damage(path)
  assert tokens_of(opened(folder)) == text_of(folder)
  assert 'is damaged; recording it again' in caplog.text


def test_a_killed_preparation_leaves_nothing_behind(
  folder: Path, cache: Path
) -> None:
  fingerprint = text_files(str(folder)).fingerprint
  leftovers = [
    cache / 'records' / fingerprint / 'text_files' / 'incomplete.X_1.0.0',
    cache / 'tokens' / f'{fingerprint}-{Bytes().digest}.partial',
  ]
  for path in leftovers:
    path.mkdir(parents=True)
    (path / 'train.tokens').write_bytes(b'half')
  assert tokens_of(opened(folder)) == text_of(folder)
  assert not any(path.exists() for path in leftovers)


IMPORTS = """
import sys
from memjax.data.corpus import open_corpus
import memjax.data.builders
"""
RACE = """
corpus = open_corpus('files', sys.argv[1], 'characters')
print(*(corpus.splits[split].tokens.sum() for split in corpus.splits))
"""


@pytest.mark.slow
def test_processes_prepare_the_same_corpus_at_once(folder: Path) -> None:
  answers = raced(IMPORTS, RACE, [str(folder)], 3)
  splits = opened(folder, 'characters').splits
  sums = ' '.join(str(splits[split].tokens.sum()) for split in SPLITS)
  assert answers == [(f'{sums}\n', '')] * 3


WATCHED = """
import os, sys
written = []
def watch(event, args):
  if event == 'open' and args[2] & (os.O_WRONLY | os.O_RDWR):
    written.append(str(args[0]))
  if event in ('os.mkdir', 'os.rename'):
    written.append(str(args[0]))
  assert not event.startswith('socket.'), event
from memjax.data.corpus import open_corpus
import memjax.data.builders
sys.addaudithook(watch)
open_corpus('standard_library', '', 'bytes').xz_bytes('test')
cache = os.environ['MEMJAX_CACHE']
outside = [path for path in written if not path.startswith(cache)]
assert written and not outside, outside
assert 'tensorflow' not in sys.modules
"""


@pytest.mark.slow
def test_preparing_is_quiet_and_stays_in_its_folder(
  tmp_path: Path, cache: Path
) -> None:
  cache.mkdir()
  done = subprocess.run(
    [sys.executable, '-B', '-W', 'error', '-c', WATCHED],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=os.environ | {'HOME': str(tmp_path / 'nowhere')},
    timeout=120,
  )
  assert (done.stdout, done.stderr, done.returncode) == ('', '', 0)


def test_one_log_line_says_what_is_prepared(
  folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
  caplog.set_level(logging.INFO)
  source = opened(folder).source
  count, size = len(source.sizes_D), f'{source.size / 1e6:.1f}'
  expected = f'preparing {folder}: {count} documents, {size} MB'
  assert [record.getMessage() for record in caplog.records] == [expected]


FULL = """
import resource, sys
from memjax.data.corpus import open_corpus
from memjax.errors import ConfigError
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
  open_corpus('files', sys.argv[1], 'bytes')
except ConfigError as error:
  print(error)
"""


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('limit', [100_000, 500_000])  # records, then tokens
def test_a_full_disk_is_one_line_and_the_next_try_succeeds(
  tmp_path: Path, cache: Path, limit: int
) -> None:
  path = tmp_path / 'text'
  path.write_bytes(b'the same again ' * 50_000)
  done = subprocess.run(
    [sys.executable, '-c', FULL, str(path), str(limit)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    timeout=60,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(f'cache: {str(cache)!r}: cannot be used: ')
  assert 'File too large' in done.stdout
  assert done.stdout.count('\n') == 1
  assert not list(cache.rglob('*.tokens'))
  assert tokens_of(opened(path)) == path.read_bytes()


def test_a_cache_that_is_not_a_folder_is_refused(
  folder: Path, cache: Path
) -> None:
  cache.write_bytes(b'')
  with pytest.raises(ConfigError, match=r'cannot be used.*MEMJAX_CACHE'):
    opened(folder)


def test_files_that_change_while_they_are_read_are_refused(
  folder: Path, tmp_path: Path
) -> None:
  source = text_files(str(folder))
  assert source.fingerprint
  path = source.files[3].path
  text = path.read_bytes()
  path.write_bytes(text[:-1] + b'X')
  with pytest.raises(ConfigError, match='changed while it was being read'):
    open_records(source, tmp_path)
  path.write_bytes(text[:-1])
  with pytest.raises(ConfigError, match='changed while') as error:
    open_records(source, tmp_path)
  assert error.value.value == str(path)


def test_text_that_is_not_utf8_is_named_with_its_byte(tmp_path: Path) -> None:
  path = tmp_path / 'text'
  path.write_bytes(b'a' * 950 + b'\xff' + b'a' * 49)
  assert len(tokens_of(opened(path))) == 1000
  with pytest.raises(ConfigError) as error:
    opened(path, 'characters')
  assert error.value.field == 'path'
  assert error.value.value == str(path)
  assert 'not UTF-8 at byte 950' in error.value.rule


def test_ids_outside_the_vocabulary_are_never_written(
  tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'text'
  path.write_bytes(b'a' * 950 + b'z' + b'a' * 49)
  monkeypatch.setattr(Bytes, 'vocab', ord('z'))
  with pytest.raises(ConfigError) as error:
    opened(path)
  assert error.value.value == str(path)
  assert error.value.rule.startswith('token 0 after byte 950 has id 122')
  assert not list(cache.rglob('*.tokens'))


def test_the_xz_size_of_a_split_is_computed_once(
  folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  corpus = opened(folder, 'characters')
  _, first, last = corpus.source.spans['test']
  expected = len(lzma.compress(text_of(folder)[first:last], preset=9))
  assert corpus.xz_bytes('test') == expected
  monkeypatch.setattr(lzma, 'compress', None)
  assert opened(folder).xz_bytes('test') == expected
  monkeypatch.setattr(corpora, 'XZ_LIMIT', last - first - 1)
  assert opened(folder).xz_bytes('test') is None
