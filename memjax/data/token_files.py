"""The tokens of a corpus on disk: written once, then memory-mapped."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from memjax.data.cache import fill_folder
from memjax.data.records import Reader
from memjax.data.sources import Source
from memjax.data.tokenizer import Tokenizer
from memjax.data.tokenizers import Bytes, Characters
from memjax.errors import ConfigError, require


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """The tokens of a split, on disk.

  Attributes:
    tokens: unsigned integers, memory-mapped.
    starts: int64, sorted; the tokens where a document begins. The first is 0,
      even if the split begins inside a document.
    bytes: number of bytes of the text.
    characters: number of characters of the text, if it is UTF-8.
    words: number of words that begin in a label, which is any token but the
      first.
    unknown: number of tokens that are the unknown character or word.
    unknown_bytes: number of bytes of the text that unknown characters replace.
  """

  tokens: np.ndarray
  starts: np.ndarray
  bytes: int
  characters: int
  words: int
  unknown: int
  unknown_bytes: int


def write_tokens(
  place: Path, source: Source, tokenizer: Tokenizer, pieces: Reader
) -> None:
  """Writes the tokens of all splits and their record."""
  fault = not_utf8(source, pieces)
  if fault is not None and tokenizer.kind != Bytes.kind:
    raise fault
  with fill_folder(place) as (folder, record):
    record['utf8'] = fault is None
    record['splits'] = {
      split: _write_split(folder, split, source, tokenizer, pieces)
      for split in source.spans
    }


def not_utf8(source: Source, pieces: Reader) -> ConfigError | None:
  """The error of the first document that is not UTF-8; None if all are."""
  for split in source.spans:
    for document, offset, text in pieces(split):
      try:
        text.decode()
      except UnicodeDecodeError as error:
        path = str(source.path_of(document))
        rule = f'is not UTF-8 at byte {offset + error.start}; '
        return ConfigError('path', path, rule + "tokens='bytes' reads any text")
  return None


def _write_split(
  folder: Path,
  split: str,
  source: Source,
  tokenizer: Tokenizer,
  pieces: Reader,
) -> dict[str, Any]:
  starts = [0]
  counts = np.zeros(tokenizer.vocab, np.int64)
  size = characters = words = 0
  before = np.zeros(0, np.uint8)
  with (folder / f'{split}.tokens').open('wb') as file:
    for document, offset, text in pieces(split):
      ids = tokenizer.encode(text)
      _check(ids, tokenizer.vocab, source.path_of(document), offset)
      if offset == 0 and size:
        starts.append(int(counts.sum()))
      counts += np.bincount(ids, minlength=tokenizer.vocab)
      size += len(text)
      letters = (np.frombuffer(text, np.uint8) & 0xC0) != 0x80
      characters += int(letters.sum())
      file.write(ids.tobytes())
      ids = np.concatenate([before, ids])
      begins = tokenizer.contents.words(ids[:-1], ids[1:], source.line_ends)
      words += int(begins.sum())
      before = ids[-1:]
  rule = f'the {split} split has no words, only white space'
  require(bool(counts.any()), 'path', source.place, rule)
  np.array(starts, '<i8').tofile(folder / f'{split}.starts')
  unknown = int(counts[tokenizer.unknown]) if tokenizer.unknown >= 0 else 0
  unknown_bytes = 0
  if isinstance(tokenizer, Characters):
    bytes_V = tokenizer.contents.bytes_V.astype(np.int64)
    known_bytes = (counts * bytes_V).sum()
    unknown_bytes = size - int(known_bytes)
  return {
    'dtype': ids.dtype.str,
    'bytes': size,
    'characters': characters,
    'words': words,
    'unknown': unknown,
    'unknown_bytes': unknown_bytes,
  }


def _check(ids: np.ndarray, vocab: int, path: Path, offset: int) -> None:
  wrong = np.flatnonzero(ids >= vocab)
  if wrong.size:
    first = wrong[0]
    rule = f'token {first} after byte {offset} has id {ids[first]}, must be '
    rule += f'below the vocabulary size {vocab}'
    raise ConfigError('path', str(path), rule)


def open_split(place: Path, split: str, dtype: str, **counts: int) -> Split:
  """The split that `write_tokens` wrote and described by these values."""

  def memory_map(name: str, dtype: str) -> np.ndarray:
    return np.asarray(np.memmap(place / f'{split}.{name}', dtype, mode='r'))

  tokens, starts = memory_map('tokens', dtype), memory_map('starts', '<i8')
  return Split(tokens, starts, **counts)
