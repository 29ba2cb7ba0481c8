"""What tokens stand for: how many bytes, characters and words.

One sum of nats becomes bits per byte, bits per character or perplexity per
word by the count it is divided by, and these tables have the counts. A word is
what stands between white space, ASCII's six characters of it; it counts where
it begins, at its first byte if white space comes before that. An end of line is
a word of its own in corpora that say so.
"""

from collections.abc import Sequence
import re
from typing import Any, NamedTuple

import numpy as np

_INSIDE = re.compile(rb'(?<=\s)\S')


class Contents(NamedTuple):
  """Of each token of a vocabulary; float32, but for the last two.

  Attributes:
    bytes_V: its bytes; 0 if they are not its own.
    characters_V: its bytes that begin a UTF-8 character.
    words_V: words that begin behind its first byte.
    lines_V: ends of lines.
    opens_V: bool: it begins with a byte that is not white.
    white_V: bool: it ends with a byte that is.
  """

  bytes_V: np.ndarray
  characters_V: np.ndarray
  words_V: np.ndarray
  lines_V: np.ndarray
  opens_V: np.ndarray
  white_V: np.ndarray

  def words(self, before: Any, ids: Any, line_ends: bool) -> Any:
    """The words that each id begins, by the id before it."""
    opened = self.white_V[before] & self.opens_V[ids]
    begun = self.words_V[ids] + opened.astype(np.float32)
    return begun + self.lines_V[ids] if line_ends else begun


def contents(pieces: Sequence[bytes]) -> Contents:
  """What tokens that are pieces of text stand for."""
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
