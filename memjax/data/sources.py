"""Sources of text: ordered documents, and the split of each.

Names, settings or a field of records may say the split of every document. Else
the bytes of all documents are concatenated and cut at 90 % and 95 % into train,
validation and test. A cut moves to the nearest border between two documents if
this border is at most 1 % of the corpus away. Otherwise, as in a single file,
the cut stays inside a document and moves back by at most 3 bytes, to the start
of a UTF-8 character. If no name says validation, it is the last 5 % of train,
by the same rule; if no name says test, there is no test split. Splits never
overlap, and together they are the whole corpus.

A document ends as a line does: a newline follows one that has none at its end,
unless it is the last one of the corpus or of its split.
"""

from collections.abc import Iterable, Iterator
import dataclasses
import functools
import hashlib
import itertools
import json
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from memjax.data.formats import character_start, read_parts
from memjax.data.scan import CUT, SourceFile, check_unchanged, is_unchanged
from memjax.data.splits import SPLITS
from memjax.errors import require


class Piece(NamedTuple):
  """A part of a document; no UTF-8 character is cut."""

  document: int  # index of the document
  offset: int  # of the piece's first byte, in the document
  text: bytes


class Span(NamedTuple):
  """A split: the bytes from `first` to `last` of some documents.

  Attributes:
    pool: the split that the documents say; CUT for all documents.
    first, last: of the concatenated documents of the pool.
  """

  pool: str
  first: int
  last: int


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """Documents in a fixed order, and their splits.

  Attributes:
    name: the corpus's name.
    place: the corpus's file or folder.
    files: the files; each has a document.
    field: the field of a record with its text.
    cuts: the bytes where validation and test begin; empty for 90 % and 95 %.
    line_ends: whether an end of line counts as a word, as in WikiText.
  """

  name: str
  place: str
  files: tuple[SourceFile, ...]
  field: str = 'text'
  cuts: tuple[int, ...] = ()
  line_ends: bool = True
  unit: ClassVar[str] = 'bytes'

  @functools.cached_property
  def pools_D(self) -> np.ndarray:
    """The split that each document says; CUT where all are cut by size."""
    return np.concatenate([file.splits_D for file in self.files])

  @functools.cached_property
  def sizes_D(self) -> np.ndarray:
    """The number of bytes of each document, with the newline at its end."""
    open_D = np.concatenate([file.open_D for file in self.files])
    for pool in np.unique(self.pools_D):
      open_D[np.flatnonzero(self.pools_D == pool)[-1]] = False
    return np.concatenate([file.sizes_D for file in self.files]) + open_D

  @functools.cached_property
  def spans(self) -> dict[str, Span]:
    """Each split that the corpus has."""
    said = {str(pool) for pool in np.unique(self.pools_D)}
    if said == {CUT}:
      ends = np.cumsum(self.sizes_D)
      inner = self.cuts or [self._cut(p, CUT) for p in (90, 95)]
      borders = itertools.pairwise([0, *inner, int(ends[-1])])
      spans = {
        split: Span(CUT, *border)
        for split, border in zip(SPLITS, borders, strict=True)
      }
    else:
      sizes = {s: int(self.sizes_D[self.pools_D == s].sum()) for s in said}
      spans = {s: Span(s, 0, sizes[s]) for s in SPLITS if s in said}
      if 'validation' not in said:
        cut = self._cut(95, 'train')
        spans['train'] = Span('train', 0, cut)
        spans['validation'] = Span('train', cut, sizes['train'])
    for split, span in spans.items():
      rule = f'has {self.size} {self.unit}; this is too few, the {split} split '
      rule += 'would be empty'
      require(span.first < span.last, 'path', self.place, rule)
    return {split: spans[split] for split in SPLITS if split in spans}

  @functools.cached_property
  def digests(self) -> dict[str, str]:
    """{split: the SHA-256 of its bytes}."""
    return {
      split: digest(piece.text for piece in self.pieces(split))
      for split in self.spans
    }

  @functools.cached_property
  def fingerprint(self) -> str:
    """A SHA-256 of the text, the order of its documents and its splits."""
    texts = [file.digest for file in self.files]
    sizes = digest([self.sizes_D.tobytes(), ','.join(self.pools_D).encode()])
    facts = json.dumps([self.name, texts, sizes, self.spans])
    return hashlib.sha256(facts.encode()).hexdigest()

  @property
  def size(self) -> int:
    """The number of bytes of all documents."""
    return int(self.sizes_D.sum())

  def path_of(self, document: int) -> Path:
    """The file of a document."""
    counts = np.cumsum([len(file.sizes_D) for file in self.files])
    return self.files[np.searchsorted(counts, document, side='right')].path

  def is_unchanged(self, file: SourceFile) -> bool:
    """Whether a file has the same documents when it is read again."""
    return is_unchanged(file, self.field)

  def document_names(self, split: str) -> list[str]:
    """The path of each document of a split, below `place`, in order.

    A record has its number behind the path, from 1.
    """
    pool, first, last = self.spans[split]
    names, end, folder = [], 0, f'{self.place}/'
    sizes = iter(self.sizes_D.tolist())
    for file in self.files:
      name, several = str(file.path).removeprefix(folder), len(file.sizes_D) > 1
      for number, said in enumerate(file.splits_D.tolist(), 1):
        size = next(sizes)
        if said != pool:
          continue
        start, end = end, end + size
        if start < last and end > first:
          names.append(f'{name}:{number}' if several else name)
    return names

  def pieces(self, split: str) -> Iterator[Piece]:
    """The text of a split, in order.

    Raises:
      ConfigError: a file cannot be read, or has changed.
    """
    pool, first, last = self.spans[split]
    number = end = 0
    for file in self.files:
      numbers = range(number, number := number + len(file.sizes_D))
      inside_D = file.splits_D == pool
      sizes_D = self.sizes_D[numbers.start : numbers.stop]
      ends_D = end + np.cumsum(sizes_D * inside_D)
      start, end = end, int(ends_D[-1])
      if start >= last or end <= first or start == end:
        continue
      begins_D = ends_D - sizes_D
      chosen_D = inside_D & (begins_D < last) & (ends_D > first)
      for document, offset, text in self._file_pieces(
        file, sizes_D, chosen_D, max(first - start, 0)
      ):
        place = int(begins_D[document]) + offset
        cut = max(first - place, 0)
        text = text[cut : max(last - place, 0)]
        if text:
          yield Piece(numbers.start + document, offset + cut, text)

  def _file_pieces(
    self,
    file: SourceFile,
    sizes_D: np.ndarray,
    chosen_D: np.ndarray,
    skip: int,
  ) -> Iterator[Piece]:
    """The pieces of the chosen documents, with the newlines at their ends."""
    last = int(np.flatnonzero(chosen_D)[-1])
    check_unchanged(file)
    for document, offset, text, _ in read_parts(file.path, self.field, skip):
      if document > last:
        break
      if not chosen_D[document]:
        continue
      end = offset + len(text)
      if end == file.sizes_D[document] < sizes_D[document]:
        text += b'\n'
      yield Piece(document, offset, text)
    check_unchanged(file)

  def _cut(self, percent: int, pool: str) -> int:
    of_pool = np.flatnonzero(self.pools_D == pool)
    ends = np.cumsum(self.sizes_D[of_pool])
    total = int(ends[-1])
    cut = total * percent // 100
    border = int(ends[np.argmin(np.abs(ends - cut))])
    if abs(border - cut) * 100 <= total:
      return border
    index = int(np.searchsorted(ends, cut, side='right'))
    document = int(of_pool[index])
    inside = cut - (int(ends[index]) - int(self.sizes_D[document]))
    return cut - inside + self.cut_inside(document, inside)

  def cut_inside(self, document: int, place: int) -> int:
    """Where a cut near a byte of a document may be: before a character."""
    back = min(place, 3)
    text = self._bytes_of(document, place - back, place + 1)
    return place - back + character_start(text, back)

  def _bytes_of(self, document: int, first: int, last: int) -> bytes:
    """Some bytes of a document."""
    for file in self.files:
      if document < len(file.sizes_D):
        break
      document -= len(file.sizes_D)
    chosen_D = np.arange(len(file.sizes_D)) == document
    found = b''
    pieces = self._file_pieces(file, file.sizes_D, chosen_D, first)
    for _, offset, text in pieces:
      found += text[max(first - offset, 0) : max(last - offset, 0)]
      if offset + len(text) >= last:
        break
    return found


def digest(texts: Iterable[bytes]) -> str:
  """The SHA-256 of a text that is given in pieces."""
  sha256 = hashlib.sha256()
  for text in texts:
    sha256.update(text)
  return sha256.hexdigest()
