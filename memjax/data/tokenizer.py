"""The contract of every tokenizer: text to ids and back."""

import abc
from collections.abc import Callable, Iterable, Mapping
import functools
import hashlib
import json
from typing import Any, ClassVar

import numpy as np

from memjax.data.contents import Contents


class Tokenizer(abc.ABC):
  """Converts text to ids and back; a value, determined by its record.

  Attributes:
    kind: the name of the class in `task.tokens` and in records.
  """

  kind: ClassVar[str]

  @property
  def unit(self) -> str:
    """What a token of text is, in protocols: the kind."""
    return self.kind

  @property
  @abc.abstractmethod
  def vocab(self) -> int:
    """V, number of ids."""

  @property
  def unknown(self) -> int:
    """The id of every symbol outside the vocabulary; -1: there is none."""
    return -1

  def unknown_symbols(self, text: bytes) -> list[str]:
    """The symbols of a text outside the vocabulary, each once, sorted."""
    del text
    return []

  @property
  def exact(self) -> bool:
    """Whether each token stands for the amount of text in `contents`."""
    return True

  @property
  @abc.abstractmethod
  def contents(self) -> Contents:
    """The amount of text in each token."""

  @abc.abstractmethod
  def encode(self, text: bytes) -> np.ndarray:
    """`(T,)` ids, in the smallest unsigned type that fits the vocabulary.

    Raises:
      UnicodeDecodeError: the text is not UTF-8, and the tokenizer needs it.
      ConfigError: a library is missing.
    """

  @abc.abstractmethod
  def restore(self, ids: Iterable[int]) -> bytes:
    """The encoded bytes."""

  @abc.abstractmethod
  def decode(self, ids: Iterable[int]) -> str:
    """The text; what cannot be shown becomes U+FFFD."""

  @abc.abstractmethod
  def decoder(self) -> Callable[[int], str]:
    """A function that decodes one id per call.

    It returns a character with the last of its bytes, and '' before.
    """

  @abc.abstractmethod
  def to_json(self) -> dict[str, Any]:
    """A record that `from_json` reads."""

  @classmethod
  @abc.abstractmethod
  def from_json(cls, record: Mapping[str, Any]) -> 'Tokenizer':
    """The tokenizer of a record."""

  @functools.cached_property
  def digest(self) -> str:
    """The start of the SHA-256 of the record: equal for equal tokenizers."""
    record = json.dumps(self.to_json(), sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()[:16]
