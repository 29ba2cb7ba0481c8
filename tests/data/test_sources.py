"""Splits are disjoint, cover the whole corpus and follow the cutting rule."""

from collections.abc import Iterator
import contextlib
import hashlib
import os
from pathlib import Path
import random
import sysconfig
import tempfile

import pytest

from memjax.data import formats
from memjax.data.local_sources import standard_library, text_files
from memjax.data.sources import Source
from memjax.data.splits import SPLITS
from memjax.errors import ConfigError


def fill(folder: Path, texts: dict[str, bytes]) -> str:
  for name, text in texts.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
  return str(folder)


def text_of(source: Source, split: str) -> bytes:
  return b''.join(piece.text for piece in source.pieces(split))


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize('seed', range(20))
def test_splits_cover_the_corpus_and_are_cut_at_documents(
  tmp_path: Path, seed: int
) -> None:
  rng = random.Random(seed)
  names = [f'{rng.choice("abc")}/{i}.txt' for i in range(rng.randint(60, 300))]
  texts = {
    name: bytes(rng.choices(range(9, 250), k=rng.randint(0, 50)))
    for name in names
  }
  source = text_files(fill(tmp_path, texts))
  in_order = [texts[n] for n in sorted(texts, key=lambda n: Path(n).parts)]
  *others, last = filter(None, in_order)
  ended = [t if t.endswith(b'\n') else t + b'\n' for t in others]
  whole = b''.join([*ended, last])
  parts = [text_of(source, split) for split in SPLITS]
  assert b''.join(parts) == whole
  borders, end = {0}, 0
  for size in source.sizes_D.tolist():
    end += size
    borders.add(end)
  for cut, percent in ((len(parts[0]), 90), (len(parts[0] + parts[1]), 95)):
    target = len(whole) * percent // 100
    nearest = min(abs(border - target) for border in borders)
    near = nearest * 100 <= len(whole)
    assert abs(cut - target) == nearest if near else abs(cut - target) <= 3
    assert near <= (cut in borders)


def test_a_single_file_is_cut_by_position_between_characters(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(formats, 'PIECE', 7)
  for shift in range(8):
    text = 'x' * shift + 'aé€😀' * 40
    path = tmp_path / f'{shift}.txt'
    path.write_text(text, encoding='utf-8')
    source = text_files(str(path))
    pieces = [piece for split in SPLITS for piece in source.pieces(split)]
    assert ''.join(piece.text.decode() for piece in pieces) == text
    assert max(len(piece.text) for piece in pieces) <= 7
    size = len(text.encode())
    starts = [source.spans[split].first for split in SPLITS[1:]]
    for start, percent in zip(starts, (90, 95), strict=True):
      assert 0 <= size * percent // 100 - start <= 3
    at = 0
    for piece in pieces:
      assert (piece.document, piece.offset) == (0, at)
      at += len(piece.text)


@pytest.mark.parametrize('byte', [b'\x80', b'\xff'])
def test_bytes_that_are_not_text_are_cut_too(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byte: bytes
) -> None:
  monkeypatch.setattr(formats, 'PIECE', 64)
  (tmp_path / 'raw').write_bytes(byte * 1000)
  source = text_files(str(tmp_path / 'raw'))
  assert [len(text_of(source, split)) for split in SPLITS] == [900, 50, 50]


def test_hidden_and_empty_files_are_left_out(tmp_path: Path) -> None:
  text = b'some text of a file that counts '
  fill(
    tmp_path, {'b': text, 'a/c': text, '.x': b'h', '.git/y': b'h', 'a/e': b''}
  )
  paths = [file.path for file in text_files(str(tmp_path)).files]
  assert paths == [tmp_path / 'a/c', tmp_path / 'b']


def test_the_fingerprint_depends_on_the_text_only(tmp_path: Path) -> None:
  texts = {f'{i}.txt': bytes([97 + i]) * 100 for i in range(5)}
  first = text_files(fill(tmp_path / 'one', texts)).fingerprint
  os.utime(tmp_path / 'one/0.txt', (0, 0))
  (tmp_path / 'one/4.txt').rename(tmp_path / 'one/5.txt')
  again = text_files(str(tmp_path / 'one'))
  assert again.fingerprint == first

  other_byte = {**texts, '3.txt': b'd' * 99 + b'D'}
  other_border = {**texts, '3.txt': b'd' * 100 + b'e', '4.txt': b'e' * 99}
  other_order = {**texts, '3.txt': texts['4.txt'], '4.txt': texts['3.txt']}
  seen = {first}
  for i, changed in enumerate((other_byte, other_border, other_order)):
    seen.add(text_files(fill(tmp_path / str(i), changed)).fingerprint)
  assert len(seen) == 4


def test_the_standard_library_has_all_modules_and_no_tests() -> None:
  folder = Path(sysconfig.get_paths()['stdlib'])
  source = standard_library()
  names = [f.path.relative_to(folder).as_posix() for f in source.files]
  excluded = ('site-packages', 'dist-packages', 'test', 'tests', 'idle_test')
  expected = {
    path.relative_to(folder).as_posix()
    for top in folder.iterdir()
    if top.name not in excluded
    for path in ([top] if top.is_file() else top.rglob('*'))
    if path.suffix == '.py' and path.is_file() and path.stat().st_size
    if not set(path.relative_to(folder).parts) & {*excluded, '__pycache__'}
  }
  assert set(names) == expected
  assert {'this.py', 'json/decoder.py', 'asyncio/tasks.py'} <= expected
  digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
  assert digests == sorted(digests)
  sizes = [len(text_of(source, split)) for split in SPLITS]
  texts = [(folder / name).read_bytes() for name in names[:-1]]
  added = sum(not text.endswith(b'\n') for text in texts)
  whole = sum((folder / name).stat().st_size for name in names)
  assert sum(sizes) == whole + added
  assert abs(sizes[0] / sum(sizes) - 0.9) < 0.011


@pytest.mark.parametrize(
  ('name', 'texts', 'rule'),
  [
    ('missing', {}, 'does not exist'),
    ('empty', {'empty': b''}, 'is empty'),
    ('folder', {'folder/.hidden': b'text', 'folder/none': b''}, 'is empty'),
    ('short', {'short': b'short'}, 'has 5 bytes; this is too few'),
  ],
)
def test_a_path_without_text_is_refused(
  tmp_path: Path, name: str, texts: dict, rule: str
) -> None:
  fill(tmp_path, texts)
  with pytest.raises(ConfigError) as error:
    _ = text_files(str(tmp_path / name)).fingerprint
  assert error.value.field == 'path'
  assert error.value.value == str(tmp_path / name)
  assert rule in error.value.rule


@contextlib.contextmanager
def as_a_user() -> Iterator[None]:
  """Drops root's right to read every file."""
  root = os.geteuid() == 0
  if root:
    os.seteuid(65534)
  try:
    yield
  finally:
    if root:
      os.seteuid(0)


@pytest.mark.parametrize('locked', ['file', 'folder', '.'])
def test_an_unreadable_file_or_folder_is_named(locked: str) -> None:
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    folder.chmod(0o755)
    fill(folder, {'file': b'text' * 10, 'folder/file': b'text' * 10})
    (folder / locked).chmod(0)
    try:
      with as_a_user(), pytest.raises(ConfigError) as error:
        _ = text_files(name).fingerprint
    finally:
      (folder / locked).chmod(0o755)
    assert error.value.value == str(folder / locked)
    assert error.value.rule == 'cannot be read: Permission denied'
