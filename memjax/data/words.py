"""Text to words and back: those of the training text, `<unk>` for others.

Merity's protocol, https://arxiv.org/abs/1609.07843: words are what stands
between white space (ASCII's), every end of line is the word `<eos>`, and a
text that already says `<unk>` means the unknown word.
"""

import collections
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from memjax.data.contents import Contents

UNKNOWN, END = '<unk>', '<eos>'


@dataclasses.dataclass(frozen=True)
class Words:
  """One token a word of the training text, one for all others, one a line.

  Attributes:
    symbols: `<unk>`, `<eos>`, then the words, the most frequent first; the id
      of each is its place.
  """

  symbols: tuple[str, ...]

  kind = 'words'

  @classmethod
  def of(cls, texts: Iterable[bytes], vocab: int) -> 'Words':
    """The tokenizer of a training text in UTF-8, given in pieces.

    Args:
      texts: pieces that cut no word.
      vocab: the most symbols there may be; 0: all words of the text.
    """
    counts: collections.Counter[bytes] = collections.Counter()
    for text in texts:
      counts.update(text.split())
    own = UNKNOWN, END
    words = [word for word in counts if word.decode() not in own]
    words.sort(key=lambda word: (-counts[word], word))
    kept = words[: vocab - len(own)] if vocab else words
    return cls((*own, *(word.decode() for word in kept)))

  @property
  def vocab(self) -> int:
    return len(self.symbols)

  @functools.cached_property
  def contents(self) -> Contents:
    """Each a word, but for the end of a line; their bytes are not known."""
    zero_V = np.zeros(self.vocab, np.float32)
    end_V = np.arange(self.vocab) == self.symbols.index(END)
    lines_V = end_V.astype(np.float32)
    none_V = np.zeros(self.vocab, bool)
    return Contents(zero_V, zero_V, 1 - lines_V, lines_V, none_V, none_V)

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` of the smallest unsigned integers that hold the vocabulary."""
    find, unknown = self._ids.get, self.symbols.index(UNKNOWN)
    ids: list[int] = []
    for line in text.split(b'\n'):
      ids += [find(word, unknown) for word in line.split()]
      ids.append(self._ids[END.encode()])
    return np.array(ids[:-1], np.min_scalar_type(self.vocab - 1))

  def restore(self, ids: Iterable[int]) -> bytes:
    """What was encoded, but for unknown words and the width of spaces."""
    return self.decode(ids).encode()

  def decode(self, ids: Iterable[int]) -> str:
    """The words, a space after each, and the ends of lines."""
    return ''.join(map(self.decoder(), ids))

  def decoder(self) -> Callable[[int], str]:
    """Decodes ids one by one."""

    def decode(token: int) -> str:
      word = self.symbols[token]
      return '\n' if word == END else f'{word} '

    return decode

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind, 'symbols': list(self.symbols)}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Words':
    return cls(tuple(record['symbols']))

  @functools.cached_property
  def _ids(self) -> dict[bytes, int]:
    return {word.encode(): i for i, word in enumerate(self.symbols)}
