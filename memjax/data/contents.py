"""The number of bytes, characters and words in each token of a vocabulary.

A sum of nats divided by one of these counts gives bits per byte, bits per
character or perplexity per word. Words are separated by ASCII's six white
space characters. A word is counted at its first byte, if white space comes
before that byte. In some corpora an end of line is a word of its own.
"""

from collections.abc import Sequence
import re
from typing import Any, NamedTuple

import numpy as np

_INSIDE = re.compile(rb'(?<=\s)\S')


class Contents(NamedTuple):
  """Counts of each token of a vocabulary, float32, and two bool tables.

  Attributes:
    bytes_V: number of bytes; 0 if the token does not stand for fixed bytes.
    characters_V: number of bytes that begin a UTF-8 character.
    words_V: number of words that begin after the token's first byte.
    lines_V: number of ends of lines.
    opens_V: bool; the token's first byte is not white space.
    white_V: bool; the token's last byte is white space.
  """

  bytes_V: np.ndarray
  characters_V: np.ndarray
  words_V: np.ndarray
  lines_V: np.ndarray
  opens_V: np.ndarray
  white_V: np.ndarray

  def words(self, before: Any, ids: Any, line_ends: bool) -> Any:
    """The number of words that begin in each id, given the id before it."""
    opened = self.white_V[before] & self.opens_V[ids]
    words = self.words_V[ids] + opened.astype(np.float32)
    return words + self.lines_V[ids] if line_ends else words


def contents(pieces: Sequence[bytes]) -> Contents:
  """The tables of tokens that are pieces of text."""
  starts = bytes(b & 0xC0 != 0x80 for b in range(256))

  def floats(counts: Sequence[int]) -> np.ndarray:
    return np.array(counts, np.float32)

  return Contents(
    bytes_V=floats([len(piece) for piece in pieces]),
    characters_V=floats([sum(p.translate(starts)) for p in pieces]),
    words_V=floats([len(_INSIDE.findall(piece)) for piece in pieces]),
    lines_V=floats([piece.count(b'\n') for piece in pieces]),
    opens_V=np.array([not piece[:1].isspace() for piece in pieces]),
    white_V=np.array([piece[-1:].isspace() for piece in pieces]),
  )
