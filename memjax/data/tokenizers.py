"""Text to integers and back: bytes, or the characters of the training text.

Words are in words.py, byte-pair encoding is in bpe.py.
"""

import codecs
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import math
from typing import Any

import numpy as np

from memjax.data.bpe import BPE
from memjax.data.contents import Contents, contents
from memjax.data.words import Words
from memjax.errors import nearest, require

CODE_POINTS = 0x110000
SCALARS = CODE_POINTS - 0x800  # what a character can be: surrogates are none


@dataclasses.dataclass(frozen=True)
class Bytes:
  """One token a byte: any text, UTF-8 or not, and an exact way back."""

  kind = 'bytes'
  vocab = 256

  @functools.cached_property
  def contents(self) -> Contents:
    """What each byte stands for."""
    return contents([bytes([byte]) for byte in range(self.vocab)])

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` uint8, the bytes themselves."""
    return np.frombuffer(text, np.uint8)

  def restore(self, ids: Iterable[int]) -> bytes:
    """The bytes that were encoded."""
    return bytes(int(i) for i in ids)

  def decode(self, ids: Iterable[int]) -> str:
    """The text; what is not UTF-8 becomes U+FFFD."""
    return self.restore(ids).decode(errors='replace')

  def decoder(self) -> Callable[[int], str]:
    """Decodes ids one by one; a character comes with its last byte."""
    stream = codecs.getincrementaldecoder('utf-8')('replace')
    return lambda token: stream.decode(self.restore([token]))

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Bytes':
    del record
    return cls()


@dataclasses.dataclass(frozen=True)
class Characters:
  """One token a character of the training text, and one for all others.

  Attributes:
    symbols: the characters, sorted; the id of each is its place. The id after
      the last is the unknown character, which the training text never shows.
  """

  symbols: str

  kind = 'characters'

  @classmethod
  def of(cls, texts: Iterable[bytes]) -> 'Characters':
    """The tokenizer of a training text, given in pieces.

    Raises:
      UnicodeDecodeError: a piece is not UTF-8.
    """
    seen = np.zeros(CODE_POINTS, bool)
    for text in texts:
      seen[_code_points(text)] = True
    return cls(''.join(map(chr, np.flatnonzero(seen))))

  @property
  def vocab(self) -> int:
    return len(self.symbols) + 1

  @property
  def unknown(self) -> int:
    """The id of every character that is none of the symbols."""
    return len(self.symbols)

  @property
  def unknown_bits(self) -> float:
    """What it takes to say which unknown character it is, all as likely."""
    return math.log2(SCALARS - len(self.symbols))

  @functools.cached_property
  def contents(self) -> Contents:
    """What each symbol stands for; the unknown character has no bytes."""
    known = contents([symbol.encode() for symbol in f'{self.symbols}\ufffd'])
    known.bytes_V[self.unknown] = 0
    return known

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` of the smallest unsigned integers that hold the vocabulary.

    Raises:
      UnicodeDecodeError: the text is not UTF-8.
    """
    return self._ids[_code_points(text)]

  def restore(self, ids: Iterable[int]) -> bytes:
    """The bytes that were encoded, but for unknown characters."""
    return self.decode(ids).encode()

  def decode(self, ids: Iterable[int]) -> str:
    """The text; the unknown character becomes U+FFFD."""
    known = f'{self.symbols}\ufffd'
    return ''.join(known[i] for i in ids)

  def decoder(self) -> Callable[[int], str]:
    """Decodes ids one by one."""
    return lambda token: self.decode([token])

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind, 'symbols': self.symbols}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Characters':
    return cls(record['symbols'])

  @functools.cached_property
  def _ids(self) -> np.ndarray:
    dtype = np.min_scalar_type(self.unknown)
    ids = np.full(CODE_POINTS, self.unknown, dtype)
    ids[[ord(symbol) for symbol in self.symbols]] = np.arange(
      self.unknown, dtype=dtype
    )
    return ids


Tokenizer = Bytes | Characters | Words | BPE
KINDS = {cls.kind: cls for cls in (Bytes, Characters, Words, BPE)}


def fit_tokenizer(kind: str, texts: Iterable[bytes], vocab: int) -> Tokenizer:
  """The tokenizer of a training text, given in pieces that cut no word.

  Args:
    kind: of KINDS.
    texts: UTF-8, unless the kind is 'bytes'.
    vocab: the most symbols of 'bpe', or of 'words', 0 being all of them.

  Raises:
    ConfigError: a library is missing.
  """
  makers: dict[str, Callable[[], Tokenizer]] = {
    Bytes.kind: Bytes,
    Characters.kind: lambda: Characters.of(texts),
    Words.kind: lambda: Words.of(texts, vocab),
    BPE.kind: lambda: BPE.of(texts, vocab),
  }
  return makers[kind]()


def from_json(record: Mapping[str, Any]) -> Tokenizer:
  """The tokenizer that `to_json` wrote."""
  kind = record['kind']
  require(kind in KINDS, 'kind', kind, f'unknown; {nearest(kind, KINDS)}')
  return KINDS[kind].from_json(record)


def _code_points(text: bytes) -> np.ndarray:
  return np.frombuffer(text.decode().encode('utf-32-le'), '<u4')
