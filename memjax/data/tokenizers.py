"""Text to integers and back: bytes, or the characters of the training text."""

import codecs
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import math
from typing import Any

import numpy as np

from memjax.errors import require

CODE_POINTS = 0x110000
SCALARS = CODE_POINTS - 0x800  # what a character can be: surrogates are none


@dataclasses.dataclass(frozen=True)
class Bytes:
  """One token a byte: any text, UTF-8 or not, and an exact way back."""

  kind = 'bytes'
  vocab = 256

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
  def bytes_V(self) -> np.ndarray:
    """float32 UTF-8 bytes of each symbol; 0 for the unknown character."""
    sizes = [len(symbol.encode()) for symbol in self.symbols]
    return np.array([*sizes, 0], np.float32)

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

  @functools.cached_property
  def _ids(self) -> np.ndarray:
    dtype = np.min_scalar_type(self.unknown)
    ids = np.full(CODE_POINTS, self.unknown, dtype)
    ids[[ord(symbol) for symbol in self.symbols]] = np.arange(
      self.unknown, dtype=dtype
    )
    return ids


Tokenizer = Bytes | Characters


def from_json(record: Mapping[str, Any]) -> Tokenizer:
  """The tokenizer that `to_json` wrote."""
  kinds = (Bytes.kind, Characters.kind)
  rule = f'must be one of {", ".join(kinds)}'
  require(record['kind'] in kinds, 'kind', record['kind'], rule)
  if record['kind'] == Bytes.kind:
    return Bytes()
  return Characters(record['symbols'])


def _code_points(text: bytes) -> np.ndarray:
  return np.frombuffer(text.decode().encode('utf-32-le'), '<u4')
