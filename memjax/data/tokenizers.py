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
  """A tokenizer and two more tokens: what ends a source, and what a target.

  In encoded text they are ASCII's unit and record separators; decoded text
  shows a tab and a newline, as in a file of pairs.

  Attributes:
    inner: the tokenizer of all other text.
    classes: the names of the classes, where targets are classes.
  """

  inner: Tokenizer
  classes: tuple[str, ...] = ()

  kind = 'marked'
  signs = (b'\x1f', b'\x1e')
  shown = ('\t', '\n')

  @property
  def unit(self) -> str:
    return self.inner.unit

  @property
  def vocab(self) -> int:
    return self.inner.vocab + len(self.signs)

  @functools.cached_property
  def class_ids(self) -> dict[str, int]:
    """{name: number} of the classes."""
    return {name: i for i, name in enumerate(self.classes)}

  @property
  def separator(self) -> int:
    """The id that ends a source."""
    return self.inner.vocab

  @property
  def end(self) -> int:
    """The id that ends a target."""
    return self.inner.vocab + 1

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
    marks = [np.zeros(2, table.dtype) for table in self.inner.contents]
    pairs = zip(self.inner.contents, marks, strict=True)
    return Contents(*map(np.concatenate, pairs))

  def encode(self, text: bytes) -> np.ndarray:
    parts = _MARKS.split(text)
    ids = [
      np.array([self.inner.vocab + self.signs.index(part)])
      if part in self.signs
      else self.inner.encode(part)
      for part in parts
      if part
    ]
    dtype = np.min_scalar_type(self.vocab - 1)
    return np.concatenate([np.array([], dtype), *ids]).astype(dtype)

  def restore(self, ids: Iterable[int]) -> bytes:
    return b''.join(
      self.signs[part[0] - self.inner.vocab]
      if part[0] >= self.inner.vocab
      else self.inner.restore(part)
      for part in self._parts(ids)
    )

  def decode(self, ids: Iterable[int]) -> str:
    return ''.join(
      self.shown[part[0] - self.inner.vocab]
      if part[0] >= self.inner.vocab
      else self.inner.decode(part)
      for part in self._parts(ids)
    )

  def _parts(self, ids: Iterable[int]) -> Iterator[list[int]]:
    """Runs of inner ids, and single marks."""
    whole = [int(i) for i in ids]
    for marks, run in itertools.groupby(whole, lambda i: i >= self.inner.vocab):
      part = [*run]
      yield from [[i] for i in part] if marks else [part]

  def decoder(self) -> Callable[[int], str]:
    inner = self.inner.decoder()

    def decode(token: int) -> str:
      if token < self.inner.vocab:
        return inner(token)
      return self.shown[token - self.inner.vocab]

    return decode

  def to_json(self) -> dict[str, Any]:
    record = {'kind': self.kind, 'classes': [*self.classes]}
    return record | {'inner': self.inner.to_json()}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Marked':
    return cls(from_json(record['inner']), tuple(record['classes']))


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
