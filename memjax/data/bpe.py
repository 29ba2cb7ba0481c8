"""Byte-level byte-pair encoding (BPE), without loss.

Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, over bytes and within
the words of GPT-2's pattern. An id below 256 is that byte. Every other token
merges two earlier tokens; two merges with the same bytes are one token. A
tokenizer is stored as its list of merges. Training and encoding need the
optional `tokenizers` library; decoding does not.
"""

import codecs
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import json
from typing import Any

import numpy as np

from memjax.data.contents import Contents, contents
from memjax.data.tokenizer import Tokenizer
from memjax.errors import ConfigError

BYTES = 256


@dataclasses.dataclass(frozen=True)
class BPE(Tokenizer):
  """A tokenizer whose tokens are bytes and merges of two tokens.

  Attributes:
    merges: pairs of token ids, in the order of training.
  """

  merges: tuple[tuple[int, int], ...]

  kind = 'bpe'

  @classmethod
  def of(cls, texts: Iterable[bytes], vocab: int) -> 'BPE':
    """The tokenizer of a training text in UTF-8, given in pieces.

    Args:
      texts: pieces of whole words.
      vocab: largest number of tokens. A short text may give fewer.

    Raises:
      ConfigError: the `tokenizers` library is not installed.
    """
    library = import_library('tokens', BPE.kind)
    trainer = library.trainers.BpeTrainer(
      vocab_size=vocab, initial_alphabet=LETTERS, show_progress=False
    )
    trained = _tokenizer(library, library.models.BPE())
    trained.train_from_iterator((text.decode() for text in texts), trainer)
    ids = {letter: byte for byte, letter in enumerate(LETTERS)}
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
    """The counts of each token."""
    return contents(self.pieces)

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` ids, in the smallest unsigned type that fits the vocabulary.

    Raises:
      ConfigError: the `tokenizers` library is not installed.
      UnicodeDecodeError: the text is not UTF-8.
    """
    [encoding] = self._encoder.encode_batch_fast([text.decode()])
    return np.array(encoding.ids, np.min_scalar_type(self.vocab - 1))

  def restore(self, ids: Iterable[int]) -> bytes:
    """The encoded bytes."""
    return b''.join(self.pieces[i] for i in ids)

  def decode(self, ids: Iterable[int]) -> str:
    """The text; invalid UTF-8 becomes U+FFFD."""
    return self.restore(ids).decode(errors='replace')

  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call.

    It returns a character with the last of its bytes, and '' before.
    """
    stream = codecs.getincrementaldecoder('utf-8')('replace')
    return lambda token: stream.decode(self.pieces[token])

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind, 'merges': [list(pair) for pair in self.merges]}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'BPE':
    return cls(tuple((left, right) for left, right in record['merges']))

  @functools.cached_property
  def _encoder(self) -> Any:
    """The library's tokenizer with the same ids."""
    library = import_library('tokens', BPE.kind)
    names = [''.join(LETTERS[byte] for byte in piece) for piece in self.pieces]
    ids = {name: i for i, name in enumerate(names)}
    merges = [(names[left], names[right]) for left, right in self.merges]
    return _tokenizer(library, library.models.BPE(ids, merges))


def import_library(field: str, value: str) -> Any:
  """The `tokenizers` library, which a setting needs.

  Raises:
    ConfigError: it is not installed.
  """
  try:
    import tokenizers
  except ImportError:
    rule = 'needs the tokenizers library: pip install tokenizers'
    raise ConfigError(field, value, rule) from None
  return tokenizers


def _tokenizer(library: Any, model: Any) -> Any:
  tokenizer = library.Tokenizer(model)
  tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(
    add_prefix_space=False
  )
  return tokenizer


def _letters() -> list[str]:
  """The letter that stands for each byte in the library; GPT-2's table.

  A byte that is printable in Latin-1 is its own letter. The other bytes, in
  order, are the letters from U+0100.
  """
  printed = {*range(0x21, 0x7F), *range(0xA1, 0x100)} - {0xAD}
  others = iter(range(0x100, 0x200))
  return [chr(b if b in printed else next(others)) for b in range(BYTES)]


LETTERS = _letters()
