"""Byte-level byte-pair encoding: pieces of text to ids, and an exact way back.

Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, over bytes and within
the words that GPT-2's pattern cuts. A token below 256 is that byte; the others
are merges of two earlier ones, in order, the same bytes once. A tokenizer is
the list of its merges. Training and encoding are done by the `tokenizers`
library, an extra; decoding needs nothing.
"""

import codecs
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import json
from typing import Any

import numpy as np

from memjax.data.contents import Contents, contents
from memjax.errors import ConfigError

BYTES = 256


@dataclasses.dataclass(frozen=True)
class BPE:
  """One token a byte, or a merge of two tokens.

  Attributes:
    merges: pairs of token ids, in the order in which they are made.
  """

  merges: tuple[tuple[int, int], ...]

  kind = 'bpe'

  @classmethod
  def of(cls, texts: Iterable[bytes], vocab: int) -> 'BPE':
    """The tokenizer of a training text in UTF-8, given in pieces.

    Args:
      texts: pieces that cut no word.
      vocab: the most tokens there may be; few words make fewer.

    Raises:
      ConfigError: the `tokenizers` library is not installed.
    """
    library = _library()
    trainer = library.trainers.BpeTrainer(
      vocab_size=vocab, initial_alphabet=_LETTERS, show_progress=False
    )
    trained = _tokenizer(library, library.models.BPE())
    trained.train_from_iterator((text.decode() for text in texts), trainer)
    ids = {letter: byte for byte, letter in enumerate(_LETTERS)}
    merges = []
    for left, right in json.loads(trained.to_str())['model']['merges']:
      merges.append((ids[left], ids[right]))
      ids.setdefault(left + right, len(ids))
    return cls(tuple(merges))

  @property
  def vocab(self) -> int:
    return len(self.pieces)

  @functools.cached_property
  def pieces(self) -> list[bytes]:
    """The bytes of each token."""
    pieces = {bytes([byte]): byte for byte in range(BYTES)}
    in_order = list(pieces)
    for left, right in self.merges:
      piece = in_order[left] + in_order[right]
      if piece not in pieces:
        pieces[piece] = len(in_order)
        in_order.append(piece)
    return in_order

  @functools.cached_property
  def contents(self) -> Contents:
    """What each token stands for."""
    return contents(self.pieces)

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` of the smallest unsigned integers that hold the vocabulary.

    Raises:
      ConfigError: the `tokenizers` library is not installed.
      UnicodeDecodeError: the text is not UTF-8.
    """
    [encoding] = self._encoder.encode_batch_fast([text.decode()])
    return np.array(encoding.ids, np.min_scalar_type(self.vocab - 1))

  def restore(self, ids: Iterable[int]) -> bytes:
    """The bytes that were encoded."""
    return b''.join(self.pieces[i] for i in ids)

  def decode(self, ids: Iterable[int]) -> str:
    """The text; what is not UTF-8 becomes U+FFFD."""
    return self.restore(ids).decode(errors='replace')

  def decoder(self) -> Callable[[int], str]:
    """Decodes ids one by one; a character comes with its last byte."""
    stream = codecs.getincrementaldecoder('utf-8')('replace')
    return lambda token: stream.decode(self.pieces[token])

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind, 'merges': [list(pair) for pair in self.merges]}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'BPE':
    return cls(tuple((left, right) for left, right in record['merges']))

  @functools.cached_property
  def _encoder(self) -> Any:
    """The library's tokenizer with these ids."""
    library = _library()
    names = [''.join(_LETTERS[byte] for byte in piece) for piece in self.pieces]
    ids = {name: i for i, name in enumerate(names)}
    merges = [(names[left], names[right]) for left, right in self.merges]
    return _tokenizer(library, library.models.BPE(ids, merges))


def _library() -> Any:
  try:
    import tokenizers
  except ImportError:
    rule = 'needs the tokenizers library: pip install tokenizers'
    raise ConfigError('tokens', BPE.kind, rule) from None
  return tokenizers


def _tokenizer(library: Any, model: Any) -> Any:
  tokenizer = library.Tokenizer(model)
  tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(
    add_prefix_space=False
  )
  return tokenizer


def _letters() -> list[str]:
  """The letter by which the library calls each byte, GPT-2's table.

  A byte that Latin-1 can print is its own letter; the others, in their order,
  are those from U+0100 on.
  """
  printed = {*range(0x21, 0x7F), *range(0xA1, 0x100)} - {0xAD}
  others = iter(range(0x100, 0x200))
  return [chr(b if b in printed else next(others)) for b in range(BYTES)]


_LETTERS = _letters()
