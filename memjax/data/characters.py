"""Tokenizers of bytes and of characters."""

import codecs
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import math
from typing import Any

import numpy as np

from memjax.data.contents import Contents, contents
from memjax.data.tokenizer import Tokenizer

CODE_POINTS = 0x110000
SCALARS = CODE_POINTS - 0x800  # possible characters: all but surrogates


@dataclasses.dataclass(frozen=True)
class Bytes(Tokenizer):
  """One token per byte. It encodes any text, UTF-8 or not, without loss."""

  kind = 'bytes'
  vocab = 256

  @functools.cached_property
  def contents(self) -> Contents:
    """The counts of each byte."""
    return contents([bytes([byte]) for byte in range(self.vocab)])

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` uint8, the bytes themselves."""
    return np.frombuffer(text, np.uint8)

  def restore(self, ids: Iterable[int]) -> bytes:
    """The encoded bytes."""
    return bytes(int(i) for i in ids)

  def decode(self, ids: Iterable[int]) -> str:
    """The text; invalid UTF-8 becomes U+FFFD."""
    return self.restore(ids).decode(errors='replace')

  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call.

    It returns a character with the last of its bytes, and '' before.
    """
    stream = codecs.getincrementaldecoder('utf-8')('replace')
    return lambda token: stream.decode(self.restore([token]))

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Bytes':
    del record
    return cls()


@dataclasses.dataclass(frozen=True)
class Characters(Tokenizer):
  """One token per character of the training text, and one for all others.

  Attributes:
    symbols: the characters, sorted; a character's id is its index. The next id
      is the unknown character, which does not occur in the training text.
  """

  symbols: str

  kind = 'characters'

  @classmethod
  def of(cls, texts: Iterable[bytes]) -> 'Characters':
    """The tokenizer of a training text, given in pieces.

    Raises:
      UnicodeDecodeError: a piece is not UTF-8.
    """
    present = np.zeros(CODE_POINTS, bool)
    for text in texts:
      present[_code_points(text)] = True
    return cls(''.join(map(chr, np.flatnonzero(present))))

  @property
  def vocab(self) -> int:
    return len(self.symbols) + 1

  @property
  def unknown(self) -> int:
    """The id of every character that is not among the symbols."""
    return len(self.symbols)

  def unknown_symbols(self, text: bytes) -> list[str]:
    return sorted({*text.decode()} - {*self.symbols})

  @property
  def unknown_bits(self) -> float:
    """Bits that identify one unknown character, if all are equally likely."""
    return math.log2(SCALARS - len(self.symbols))

  @functools.cached_property
  def contents(self) -> Contents:
    """The counts of each symbol; the unknown character counts 0 bytes."""
    known = contents([symbol.encode() for symbol in f'{self.symbols}\ufffd'])
    known.bytes_V[self.unknown] = 0
    return known

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` ids, in the smallest unsigned type that fits the vocabulary.

    Raises:
      UnicodeDecodeError: the text is not UTF-8.
    """
    return self._ids[_code_points(text)]

  def restore(self, ids: Iterable[int]) -> bytes:
    """The encoded bytes; unknown characters become U+FFFD."""
    return self.decode(ids).encode()

  def decode(self, ids: Iterable[int]) -> str:
    """The text; the unknown character becomes U+FFFD."""
    known = f'{self.symbols}\ufffd'
    return ''.join(known[i] for i in ids)

  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call."""
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


def _code_points(text: bytes) -> np.ndarray:
  return np.frombuffer(text.decode().encode('utf-32-le'), '<u4')
