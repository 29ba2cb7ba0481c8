"""The word tokenizer: words of the training text, and `<unk>` for all others.

Merity's protocol, https://arxiv.org/abs/1609.07843: words are separated by
Unicode's white space, every end of line is the word `<eos>`, and `<unk>` in a
text is the unknown word. A line ends at a newline, a carriage return or both,
as in the code of Transformer-XL, which reads files in Python's text mode.
"""

import collections
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import re
from typing import Any

import numpy as np

from memjax.data.contents import Contents
from memjax.data.tokenizer import Tokenizer

UNKNOWN, END = '<unk>', '<eos>'
LINE_END = re.compile(r'\r\n|\r|\n')


@dataclasses.dataclass(frozen=True)
class Words(Tokenizer):
  """One token per word of the training text, `<unk>` and `<eos>`.

  Attributes:
    symbols: `<unk>`, `<eos>`, then the words from most to least frequent. A
      symbol's id is its index.
  """

  symbols: tuple[str, ...]

  kind = 'words'

  @classmethod
  def of(cls, texts: Iterable[bytes], vocab: int) -> 'Words':
    """The tokenizer of a training text in UTF-8, given in pieces.

    Args:
      texts: pieces of whole words.
      vocab: largest number of symbols; 0 means unlimited.
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
      counts.update(text.decode().split())
    special = UNKNOWN, END
    words = [word for word in counts if word not in special]
    words.sort(key=lambda word: (-counts[word], word))
    kept = words[: vocab - len(special)] if vocab else words
    return cls((*special, *kept))

  @property
  def vocab(self) -> int:
    return len(self.symbols)

  @property
  def unknown(self) -> int:
    """The id of `<unk>`."""
    return self.symbols.index(UNKNOWN)

  def unknown_symbols(self, text: bytes) -> list[str]:
    return sorted({*text.decode().split()} - {*self.symbols})

  @functools.cached_property
  def contents(self) -> Contents:
    """Each symbol is one word or one end of line; bytes are not counted."""
    zero_V = np.zeros(self.vocab, np.float32)
    end_V = np.arange(self.vocab) == self.symbols.index(END)
    lines_V = end_V.astype(np.float32)
    none_V = np.zeros(self.vocab, bool)
    return Contents(zero_V, zero_V, 1 - lines_V, lines_V, none_V, none_V)

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` ids, in the smallest unsigned type that fits the vocabulary."""
    find, unknown = self._ids.get, self.unknown
    ids: list[int] = []
    for line in LINE_END.split(text.decode()):
      ids += [find(word, unknown) for word in line.split()]
      ids.append(self._ids[END])
    return np.array(ids[:-1], np.min_scalar_type(self.vocab - 1))

  def restore(self, ids: Iterable[int]) -> bytes:
    """The encoded text, with `<unk>` for unknown words and single spaces."""
    return self.decode(ids).encode()

  def decode(self, ids: Iterable[int]) -> str:
    """The words, each followed by a space, and the ends of lines."""
    return ''.join(map(self.decoder(), ids))

  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call."""

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
  def _ids(self) -> dict[str, int]:
    return {word: i for i, word in enumerate(self.symbols)}
