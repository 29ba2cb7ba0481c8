"""Sources of text: ordered documents, cut into three fixed splits.

The bytes of all documents are concatenated, with nothing between them, and cut
at 90 % and 95 % into train, validation and test. A cut moves to the nearest
border between two documents if this border is at most 1 % of the corpus away.
Otherwise, as in a single file, the cut stays inside a document and moves back
by at most 3 bytes, to the start of a UTF-8 character. A corpus released with
splits keeps its splits. Splits never overlap, and together they are the whole
corpus.
"""

from collections.abc import Iterable, Iterator
import dataclasses
import functools
import hashlib
import itertools
import json
import os
from pathlib import Path
import sysconfig
from typing import NamedTuple

import numpy as np

from memjax.errors import ConfigError, require

SPLITS = ('train', 'validation', 'test')
PIECE = 1 << 20  # bytes per record
_RULE = '90/5/5 by bytes, at borders within 1 %'
_EXCLUDED_FOLDERS = {
  'site-packages',
  'dist-packages',
  'test',
  'tests',
  'idle_test',
  '__pycache__',
}


class Document(NamedTuple):
  """A file that is not empty, and its size in bytes."""

  path: Path
  size: int


class Piece(NamedTuple):
  """At most PIECE bytes of a document; no UTF-8 character is cut."""

  document: int  # index of the document
  offset: int  # of the piece's first byte, in the document
  text: bytes


@dataclasses.dataclass(frozen=True)
class Source:
  """Documents in a fixed order, and their splits.

  Attributes:
    name: the corpus's name.
    place: the corpus's file or folder.
    documents: the documents; none is empty.
    cuts: the bytes where validation and test begin; empty for 90 % and 95 %.
    line_ends: whether an end of line counts as a word, as in WikiText.
  """

  name: str
  place: str
  documents: tuple[Document, ...]
  cuts: tuple[int, ...] = ()
  line_ends: bool = True

  @functools.cached_property
  def bounds(self) -> dict[str, tuple[int, int]]:
    """{split: (its first byte in the corpus, the byte after its last)}."""
    ends = np.cumsum([document.size for document in self.documents])
    total = int(ends[-1])
    inner = self.cuts or [self._cut(percent, ends) for percent in (90, 95)]
    cuts = [0, *inner, total]
    bounds = dict(zip(SPLITS, itertools.pairwise(cuts), strict=True))
    for split, (start, stop) in bounds.items():
      require(
        start < stop,
        'path',
        self.place,
        f'has {total} bytes; this is too few, the {split} split would be empty',
      )
    return bounds

  @functools.cached_property
  def digests(self) -> dict[str, str]:
    """{split: the SHA-256 of its bytes}."""
    return {
      split: digest(piece.text for piece in self.pieces(split))
      for split in SPLITS
    }

  @functools.cached_property
  def fingerprint(self) -> str:
    """A SHA-256 of the text, the order of its documents and its splits."""
    sizes = [document.size for document in self.documents]
    rule = 'as released' if self.cuts else _RULE
    facts = json.dumps([rule, sizes, self.bounds, self.digests])
    return hashlib.sha256(facts.encode()).hexdigest()

  @property
  def size(self) -> int:
    """The number of bytes of all documents."""
    return sum(document.size for document in self.documents)

  def pieces(self, split: str) -> Iterator[Piece]:
    """The text of a split, in order.

    Raises:
      ConfigError: a file cannot be read, or has become shorter.
    """
    first, last = self.bounds[split]
    end = 0
    for index, document in enumerate(self.documents):
      start, end = end, end + document.size
      if start < last and end > first:
        span = range(max(first - start, 0), min(last, end) - start)
        yield from _pieces(index, document.path, span)

  def _cut(self, percent: int, ends: np.ndarray) -> int:
    total = int(ends[-1])
    cut = total * percent // 100
    border = int(ends[np.argmin(np.abs(ends - cut))])
    near = abs(border - cut) * 100 <= total
    return border if near else self._character_start(cut, ends)

  def _character_start(self, cut: int, ends: np.ndarray) -> int:
    index = int(np.searchsorted(ends, cut, side='right'))
    document = self.documents[index]
    inside = cut - (int(ends[index]) - document.size)
    back = min(inside, 3)
    nearby = range(inside - back, min(inside + 1, document.size))
    text = b''.join(p.text for p in _pieces(index, document.path, nearby))
    return cut - back + _character_start(text, back)


def digest(texts: Iterable[bytes]) -> str:
  """The SHA-256 of a text that is given in pieces."""
  sha256 = hashlib.sha256()
  for text in texts:
    sha256.update(text)
  return sha256.hexdigest()


def standard_library() -> Source:
  """The modules of this machine's Python standard library, without its tests.

  The documents are sorted by the SHA-256 of their relative path. In
  alphabetical order, a whole package would be in one split only, and the
  packages at the end would be a poor sample of the rest.

  Raises:
    ConfigError: the library is not installed as files, or cannot be read.
  """
  folder = Path(sysconfig.get_paths()['stdlib'])

  def sort_key(path: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return hashlib.sha256(name.encode()).hexdigest()

  try:
    paths = _list_files(folder, _EXCLUDED_FOLDERS)
    modules = [path for path in paths if path.suffix == '.py']
    documents = _documents(sorted(modules, key=sort_key))
  except OSError as error:
    raise _unreadable(folder, error) from None
  rule = f'has no module in {folder}'
  require(bool(documents), 'corpus', 'standard_library', rule)
  return Source('standard_library', str(folder), documents)


def text_files(path: str) -> Source:
  """A file, or all files of a folder and its subfolders, sorted by path.

  Hidden files and folders, empty files and links to folders are left out.

  Raises:
    ConfigError: the path is missing, empty or cannot be read.
  """
  place = Path(path).expanduser()
  try:
    require(place.exists(), 'path', path, 'does not exist')
    documents = _documents(_list_files(place) if place.is_dir() else [place])
  except OSError as error:
    raise _unreadable(place, error) from None
  require(bool(documents), 'path', path, 'is empty; it must contain text')
  return Source('text_files', path, documents)


def _list_files(folder: Path, excluded: Iterable[str] = ()) -> list[Path]:
  def refuse(error: OSError) -> None:
    raise error

  paths = []
  for parent, folders, names in os.walk(folder, onerror=refuse):
    folders[:] = [f for f in folders if f not in excluded and f[0] != '.']
    paths += [Path(parent, name) for name in names if name[0] != '.']
  return sorted(path for path in paths if path.is_file())


def _documents(paths: list[Path]) -> tuple[Document, ...]:
  documents = (Document(path, path.stat().st_size) for path in paths)
  return tuple(document for document in documents if document.size)


def _pieces(index: int, path: Path, span: range) -> Iterator[Piece]:
  """The bytes of a document in `span`, piece by piece."""
  offset = span.start
  try:
    with path.open('rb') as file:
      while offset < span.stop:
        file.seek(offset)
        text = file.read(min(PIECE + 1, span.stop - offset))
        rule = 'became shorter while it was being read'
        require(bool(text), 'path', str(path), rule)
        if len(text) > PIECE:
          text = text[: _character_start(text, PIECE)]
        yield Piece(index, offset, text)
        offset += len(text)
  except OSError as error:
    raise _unreadable(path, error) from None


def _character_start(text: bytes, at: int) -> int:
  """The start of the last UTF-8 character that begins at `at` or before.

  It searches at most 3 bytes back. If it finds no start, the text is not
  UTF-8, and it returns `at`.
  """
  for start in range(at, max(at - 4, -1), -1):
    if text[start] & 0xC0 != 0x80:
      return start
  return at


def _unreadable(path: Path, error: OSError) -> ConfigError:
  name = str(error.filename or path)
  return ConfigError('path', name, f'cannot be read: {error.strerror}')
