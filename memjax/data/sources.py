"""Where text comes from: documents in an order, cut once into three splits.

The bytes of all documents stand one after the other with nothing between them
and are cut at 90 % and at 95 % into train, validation and test. A cut moves to
the nearest border of two documents if one lies within 1 % of the corpus; if
none does, as in a single file, it stays inside a document, moved back by up to
3 bytes to where a UTF-8 character begins. A corpus that was released with
splits is cut where they begin. Splits never overlap and leave nothing out.
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
PIECE = 1 << 20  # bytes of a document read and recorded at once
_RULE = '90/5/5 by bytes, at borders within 1 %'
_NOT_ITS_TEXT = {
  'site-packages',
  'dist-packages',
  'test',
  'tests',
  'idle_test',
  '__pycache__',
}


class Document(NamedTuple):
  """A file of `size` bytes, not empty."""

  path: Path
  size: int


class Piece(NamedTuple):
  """At most PIECE bytes of one document, whole UTF-8 characters if it is."""

  document: int  # its index
  offset: int  # of the first byte, in the document
  text: bytes


@dataclasses.dataclass(frozen=True)
class Source:
  """Documents in their order, and the splits they are cut into.

  Attributes:
    name: what the corpus is called.
    place: the file or folder it is in.
    documents: none of them empty.
    cuts: the bytes at which validation and test begin; none: by the rule.
    line_ends: whether an end of line counts as a word, as in WikiText.
  """

  name: str
  place: str
  documents: tuple[Document, ...]
  cuts: tuple[int, ...] = ()
  line_ends: bool = True

  @functools.cached_property
  def bounds(self) -> dict[str, tuple[int, int]]:
    """{split: its first byte in the corpus, and the first after it}."""
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
        f'{total} bytes are too few: no byte is left for {split}',
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
    """The same for the same text in the same order, cut the same way."""
    sizes = [document.size for document in self.documents]
    rule = 'as released' if self.cuts else _RULE
    said = json.dumps([rule, sizes, self.bounds, self.digests])
    return hashlib.sha256(said.encode()).hexdigest()

  @property
  def size(self) -> int:
    """Bytes in all."""
    return sum(document.size for document in self.documents)

  def pieces(self, split: str) -> Iterator[Piece]:
    """The text of a split, in order.

    Raises:
      ConfigError: a file cannot be read, or is shorter than it was.
    """
    first, last = self.bounds[split]
    end = 0
    for index, document in enumerate(self.documents):
      start, end = end, end + document.size
      if start < last and end > first:
        inside = range(max(first - start, 0), min(last, end) - start)
        yield from _pieces(index, document.path, inside)

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
  """The SHA-256 of some bytes, given piece by piece."""
  seen = hashlib.sha256()
  for text in texts:
    seen.update(text)
  return seen.hexdigest()


def standard_library() -> Source:
  """The modules of Python's own library on this machine, without its tests.

  The documents are ordered by the SHA-256 of their relative path: cut in
  alphabetical order, whole packages would stand in one split only and the last
  letters make a poor sample of the rest.

  Raises:
    ConfigError: the library is not there as files, or cannot be read.
  """
  folder = Path(sysconfig.get_paths()['stdlib'])

  def place(path: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return hashlib.sha256(name.encode()).hexdigest()

  try:
    paths = [p for p in _files(folder, _NOT_ITS_TEXT) if p.suffix == '.py']
    documents = _documents(sorted(paths, key=place))
  except OSError as error:
    raise _unreadable(folder, error) from None
  rule = f'holds no module in {folder}'
  require(bool(documents), 'corpus', 'standard_library', rule)
  return Source('standard_library', str(folder), documents)


def text_files(path: str) -> Source:
  """A file, or the files of a folder and of those in it, by sorted path.

  Hidden files and folders, empty files and links to folders are left out.

  Raises:
    ConfigError: the path is missing, empty or cannot be read.
  """
  place = Path(path).expanduser()
  try:
    require(place.exists(), 'path', path, 'does not exist')
    documents = _documents(_files(place) if place.is_dir() else [place])
  except OSError as error:
    raise _unreadable(place, error) from None
  require(bool(documents), 'path', path, 'is empty: it holds no text')
  return Source('text_files', path, documents)


def _files(folder: Path, but: Iterable[str] = ()) -> list[Path]:
  def refuse(error: OSError) -> None:
    raise error

  paths = []
  for here, folders, names in os.walk(folder, onerror=refuse):
    folders[:] = [f for f in folders if f not in but and f[0] != '.']
    paths += [Path(here, name) for name in names if name[0] != '.']
  return sorted(path for path in paths if path.is_file())


def _documents(paths: list[Path]) -> tuple[Document, ...]:
  documents = (Document(path, path.stat().st_size) for path in paths)
  return tuple(document for document in documents if document.size)


def _pieces(index: int, path: Path, inside: range) -> Iterator[Piece]:
  offset = inside.start
  try:
    with path.open('rb') as file:
      while offset < inside.stop:
        file.seek(offset)
        text = file.read(min(PIECE + 1, inside.stop - offset))
        require(bool(text), 'path', str(path), 'became shorter while read')
        if len(text) > PIECE:
          text = text[: _character_start(text, PIECE)]
        yield Piece(index, offset, text)
        offset += len(text)
  except OSError as error:
    raise _unreadable(path, error) from None


def _character_start(text: bytes, at: int) -> int:
  """The place of the last UTF-8 character that begins at `at` or before.

  It is at most 3 bytes away; further back, the text is no UTF-8.
  """
  for start in range(at, max(at - 4, -1), -1):
    if text[start] & 0xC0 != 0x80:
      return start
  return at


def _unreadable(path: Path, error: OSError) -> ConfigError:
  name = str(error.filename or path)
  return ConfigError('path', name, f'cannot be read: {error.strerror}')
