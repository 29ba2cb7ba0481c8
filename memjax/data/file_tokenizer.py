"""A tokenizer from a `tokenizer.json` file of Hugging Face's library.

It needs the optional `tokenizers` library. The text of each document is encoded
without special tokens, in pieces of whole words.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from memjax.data.bpe import LETTERS, import_library
from memjax.data.contents import Contents, contents
from memjax.data.tokenizer import Tokenizer
from memjax.errors import ConfigError, nearest, require


@dataclasses.dataclass(frozen=True)
class FileTokenizer(Tokenizer):
  """The tokenizer that a file describes.

  Attributes:
    content: the text of the file.
  """

  content: str = dataclasses.field(repr=False)

  kind = 'tokenizer.json'

  @property
  def vocab(self) -> int:
    return len(self._names)

  @functools.cached_property
  def unknown(self) -> int:
    """The id of the model's unknown token; -1 if it has none."""
    model = self._record['model']
    name = model.get('unk_token')
    if name is None:
      return model.get('unk_id') or -1
    return self._names.index(name)

  def unknown_symbols(self, text: bytes) -> list[str]:
    whole = text.decode()
    encoding = self._library.encode(whole, add_special_tokens=False)
    places = zip(encoding.ids, encoding.offsets, strict=True)
    return sorted({whole[a:b] for i, (a, b) in places if i == self.unknown})

  @functools.cached_property
  def exact(self) -> bool:
    """Whether every token stands for fixed bytes: a byte-level tokenizer."""
    before = json.dumps(self._record['pre_tokenizer'])
    after = json.dumps(self._record['decoder'])
    byte_level = '"ByteLevel"' in before and '"ByteLevel"' in after
    changed = '"add_prefix_space": true' in before or self._record['normalizer']
    return byte_level and not changed

  @functools.cached_property
  def contents(self) -> Contents:
    """The counts of each token; of zeros if tokens have no fixed bytes."""
    if not self.exact:
      return contents([b''] * self.vocab)
    added = {entry['id'] for entry in self._record['added_tokens']}
    bytes_of = {letter: bytes([byte]) for byte, letter in enumerate(LETTERS)}
    return contents(
      [
        name.encode()
        if i in added
        else b''.join(bytes_of.get(letter, b'') for letter in name)
        for i, name in enumerate(self._names)
      ]
    )

  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` ids, in the smallest unsigned type that fits the vocabulary."""
    [encoding] = self._library.encode_batch_fast(
      [text.decode()], add_special_tokens=False
    )
    return np.array(encoding.ids, np.min_scalar_type(self.vocab - 1))

  def restore(self, ids: Iterable[int]) -> bytes:
    """The text in UTF-8, as far as the tokenizer keeps it."""
    return self.decode(ids).encode()

  def decode(self, ids: Iterable[int]) -> str:
    """The text, special tokens included."""
    numbers = [int(i) for i in ids]
    return self._library.decode(numbers, skip_special_tokens=False)

  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call; '' inside a character."""
    library = import_library('tokenizer', self.kind)
    stream = library.decoders.DecodeStream(skip_special_tokens=False)
    return lambda token: stream.step(self._library, int(token)) or ''

  def id_of(self, name: str, field: str) -> int:
    """The id of a token by its name in the file.

    Args:
      name: of the token.
      field: the setting that names it.

    Raises:
      ConfigError: there is no such token.
    """
    special = [token['content'] for token in self._record['added_tokens']]
    known = nearest(name, special, 'the file')
    rule = f'is not a token of task.tokenizer; {known}'
    require(name in self._names, field, name, rule)
    return self._names.index(name)

  def to_json(self) -> dict[str, Any]:
    return {'kind': self.kind, 'content': self.content}

  @classmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'FileTokenizer':
    return cls(record['content'])

  @functools.cached_property
  def _record(self) -> dict[str, Any]:
    return json.loads(self.content)

  @functools.cached_property
  def _library(self) -> Any:
    """The library's tokenizer, which neither cuts nor pads."""
    library = import_library('tokenizer', self.kind)
    tokenizer = library.Tokenizer.from_str(self.content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer

  @functools.cached_property
  def _names(self) -> list[str]:
    """The token of each id; ids that no token has are empty."""
    ids = self._library.get_vocab(with_added_tokens=True)
    names = [''] * (max(ids.values()) + 1)
    for name, i in ids.items():
      names[i] = name
    return names


def read_tokenizer(path: str) -> FileTokenizer:
  """The tokenizer of a `tokenizer.json`.

  Raises:
    ConfigError: the file cannot be read or is no such file, or the library is
      missing.
  """
  library = import_library('tokenizer', path)
  try:
    content = Path(path).expanduser().read_text(encoding='utf-8')
    tokenizer = FileTokenizer(content)
    library.Tokenizer.from_str(content)
  except OSError as error:
    rule = f'cannot be read: {error.strerror}'
    raise ConfigError('tokenizer', path, rule) from None
  except Exception as error:  # the library raises plain exceptions
    line = str(error).splitlines()[0]
    rule = f'is not a tokenizer.json of the tokenizers library: {line}'
    raise ConfigError('tokenizer', path, rule) from None
  require(tokenizer.vocab > 1, 'tokenizer', path, 'has no tokens')
  return tokenizer
