"""All tokenizers: fitted to a text, read from a record, with marks for pairs.

Bytes and characters are in characters.py, words in words.py, byte-pair encoding
in bpe.py, a tokenizer.json in file_tokenizer.py.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
import functools
import itertools
import re
from typing import Any

import numpy as np

from memjax.data.bpe import BPE
from memjax.data.characters import Bytes, Characters
from memjax.data.contents import Contents
from memjax.data.file_tokenizer import FileTokenizer
from memjax.data.tokenizer import Tokenizer
from memjax.data.words import Words
from memjax.errors import nearest, require

_MARKS = re.compile(b'([\x1e\x1f])')  # of Marked.signs


@dataclasses.dataclass(frozen=True)
class Marked(Tokenizer):
  """A tokenizer and two marks: what ends a source, and what ends a target.

  In text they are ASCII's unit and record separators; decoded text shows a tab
  and a newline, as in a file of pairs.

  Attributes:
    inner: the tokenizer of all other text.
    classes: the names of the classes, where targets are classes.
    own: the ids of the two marks among those of the inner tokenizer, which may
      be one id, shown as a tab; empty: two ids after all others.
  """

  inner: Tokenizer
  classes: tuple[str, ...] = ()
  own: tuple[int, ...] = ()

  kind = 'marked'
  signs = (b'\x1f', b'\x1e')
  shown = ('\t', '\n')

  @property
  def unit(self) -> str:
    return self.inner.unit

  @property
  def vocab(self) -> int:
    return self.inner.vocab + (0 if self.own else len(self.signs))

  @property
  def marks(self) -> tuple[int, int]:
    """The ids of the two marks."""
    separator, end = self.own or (self.inner.vocab, self.inner.vocab + 1)
    return separator, end

  @functools.cached_property
  def class_ids(self) -> dict[str, int]:
    """{name: number} of the classes."""
    return {name: i for i, name in enumerate(self.classes)}

  @property
  def separator(self) -> int:
    """The id that ends a source."""
    return self.marks[0]

  @property
  def end(self) -> int:
    """The id that ends a target."""
    return self.marks[1]

  @property
  def unknown(self) -> int:
    return self.inner.unknown

  def unknown_symbols(self, text: bytes) -> list[str]:
    return self.inner.unknown_symbols(_MARKS.sub(b' ', text))

  @property
  def exact(self) -> bool:
    return self.inner.exact

  @functools.cached_property
  def contents(self) -> Contents:
    """Those of the inner tokenizer; the two marks stand for no text."""
    more = self.vocab - self.inner.vocab
    tables = [
      np.append(t, np.zeros(more, t.dtype)) for t in self.inner.contents
    ]
    for table in tables:
      table[list(self.marks)] = 0
    return Contents(*tables)

  def encode(self, text: bytes) -> np.ndarray:
    parts = _MARKS.split(text)
    ids = [
      np.array([self.marks[self.signs.index(part)]])
      if part in self.signs
      else self.inner.encode(part)
      for part in parts
      if part
    ]
    dtype = np.min_scalar_type(self.vocab - 1)
    return np.concatenate([np.array([], dtype), *ids]).astype(dtype)

  def restore(self, ids: Iterable[int]) -> bytes:
    return b''.join(
      self.signs[self.marks.index(part[0])]
      if part[0] in self.marks
      else self.inner.restore(part)
      for part in self._parts(ids)
    )

  def decode(self, ids: Iterable[int]) -> str:
    return ''.join(
      self.shown[self.marks.index(part[0])]
      if part[0] in self.marks
      else self.inner.decode(part)
      for part in self._parts(ids)
    )

  def _parts(self, ids: Iterable[int]) -> Iterator[list[int]]:
    """Runs of inner ids, and single marks."""
    whole = [int(i) for i in ids]
    for marks, run in itertools.groupby(whole, lambda i: i in self.marks):
      part = [*run]
      yield from [[i] for i in part] if marks else [part]

  def decoder(self) -> Callable[[int], str]:
    inner = self.inner.decoder()

    def decode(token: int) -> str:
      if token in self.marks:
        return self.shown[self.marks.index(token)]
      return inner(token)

    return decode

  def to_json(self) -> dict[str, Any]:
    record = {'kind': self.kind, 'classes': [*self.classes]}
    own = {'own': [*self.own]} if self.own else {}
    return record | own | {'inner': self.inner.to_json()}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Marked':
    classes, own = tuple(record['classes']), tuple(record.get('own', ()))
    return cls(from_json(record['inner']), classes, own)


_FITTED: tuple[type[Tokenizer], ...] = (Bytes, Characters, Words, BPE)
KINDS = {cls.kind: cls for cls in _FITTED}
_CLASSES: dict[str, type[Tokenizer]] = KINDS | {
  FileTokenizer.kind: FileTokenizer,
  Marked.kind: Marked,
}


def fit_tokenizer(kind: str, texts: Iterable[bytes], vocab: int) -> Tokenizer:
  """The tokenizer of a training text, given in pieces of whole words.

  Args:
    kind: a key of KINDS.
    texts: pieces of UTF-8; for the kind 'bytes', any bytes.
    vocab: vocabulary size for 'bpe' and 'words'; 0 means unlimited ('words'
      only).

  Raises:
    ConfigError: a library is missing.
  """
  fits: dict[str, Callable[[], Tokenizer]] = {
    Bytes.kind: Bytes,
    Characters.kind: lambda: Characters.of(texts),
    Words.kind: lambda: Words.of(texts, vocab),
    BPE.kind: lambda: BPE.of(texts, vocab),
  }
  return fits[kind]()


def from_json(record: Mapping[str, Any]) -> Tokenizer:
  """The tokenizer of a record that `to_json` returned."""
  kind = record['kind']
  rule = f'unknown; {nearest(kind, _CLASSES)}'
  require(kind in _CLASSES, 'kind', kind, rule)
  return _CLASSES[kind].from_json(record)
