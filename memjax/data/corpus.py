"""Corpora made ready: recorded once, tokenised once, read by memory map.

In the cache folder:
  records/FINGERPRINT/         the documents, a TFDS data set
  tokens/FINGERPRINT-KIND-N/   of each split its tokens, the places where its
                               documents start, and meta.json: sizes, SHA-256s,
                               the tokenizer, of at most N symbols
  downloads/, unpacked/        what was released and fetched
The fingerprint is that of the text, so a changed file is another corpus. What
is damaged or half written is found by its SHA-256 and made again. All of this
happens under one lock: processes may prepare the same corpus at once.
"""

import dataclasses
import functools
import logging
import lzma
from pathlib import Path
from typing import Any

import numpy as np

from memjax.data.cache import (
  cache_folder,
  fill_folder,
  lock,
  read_filled,
  read_record,
  write_record,
)
from memjax.data.records import Reader, recorded, whole_words
from memjax.data.released import NAMES, open_released
from memjax.data.sources import SPLITS, Source, standard_library, text_files
from memjax.data.tokenizers import (
  Bytes,
  Characters,
  Tokenizer,
  fitted,
  from_json,
)
from memjax.errors import ConfigError, require

CORPORA = ('standard_library', 'files', *NAMES)
XZ_LIMIT = 16 << 20  # bytes: some 20 seconds

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """The tokens of a split, on disk.

  Attributes:
    tokens: unsigned integers, memory-mapped.
    starts: int64, sorted: where in the tokens a document begins, or the rest
      of one that the splits share; the first is 0.
    bytes: of the text.
    characters: of the text, if it is UTF-8.
    words: that begin with a label, any token but the first.
    unknown: how many tokens are the unknown character.
    unknown_bytes: of the text that those stand for.
  """

  tokens: np.ndarray
  starts: np.ndarray
  bytes: int
  characters: int
  words: int
  unknown: int
  unknown_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
  """A corpus ready to be read.

  Attributes:
    source: the documents, how they are cut, and their fingerprint.
    tokenizer: how they became tokens.
    utf8: whether all of the text is.
    splits: train, validation and test.
  """

  source: Source
  tokenizer: Tokenizer
  utf8: bool
  splits: dict[str, Split]
  folder: Path

  def xz_bytes(self, split: str) -> int | None:
    """What `xz -9` makes of a split's text; None of more than 16 MB.

    It takes seconds, the first time, and is kept in the cache folder.
    """
    if self.splits[split].bytes > XZ_LIMIT:
      return None
    path = self.folder / 'xz' / f'{self.source.digests[split]}.json'
    record = read_record(path)
    if record is None:
      with lock(self.folder):
        pieces = recorded(self.source, self.folder / 'records')
        text = b''.join(piece.text for piece in pieces(split))
        record = {'bytes': len(lzma.compress(text, preset=9))}
        path.parent.mkdir(exist_ok=True)
        write_record(path, record)
    return record['bytes']


@functools.cache
def open_corpus(name: str, path: str, tokens: str, vocab: int = 0) -> Corpus:
  """A corpus by name, prepared if it is not; one object for like arguments.

  Args:
    name: 'standard_library', 'files' or what is in released.py.
    path: the file or folder of 'files'.
    tokens: 'bytes', 'characters', 'words' or 'bpe'.
    vocab: the most symbols of 'bpe', or of 'words', 0 being all of them.

  Raises:
    ConfigError: the text cannot be read or fetched, is too short, or is not
      UTF-8 where that is needed; or the cache folder cannot be used.
  """
  own = {
    'standard_library': standard_library,
    'files': lambda: text_files(path),
  }
  source = own[name]() if name in own else open_released(name)
  folder = cache_folder()
  place = folder / 'tokens' / f'{source.fingerprint}-{tokens}-{vocab}'
  with lock(folder):
    meta = read_filled(place)
    if meta is None:
      log.info(
        'preparing %s: %s documents, %.1f MB',
        path or name,
        f'{len(source.documents):,}',
        source.size / 1e6,
      )
      pieces = whole_words(recorded(source, folder / 'records'))
      _write(place, source, tokens, vocab, pieces)
      meta = read_filled(place)
    if meta is None:
      raise OSError(f'{place} does not hold what was written to it')
    splits = {
      split: _map(place, split, **meta['splits'][split]) for split in SPLITS
    }
  tokenizer = from_json(meta['tokenizer'])
  return Corpus(source, tokenizer, meta['utf8'], splits, folder)


def _write(
  place: Path, source: Source, tokens: str, vocab: int, pieces: Reader
) -> None:
  """Writes the tokens of all splits, and what they are."""
  fault = _not_utf8(source, pieces)
  if fault is not None and tokens != Bytes.kind:
    raise fault
  train = (text for _, _, text in pieces('train'))
  tokenizer = fitted(tokens, train, vocab)
  with fill_folder(place) as (folder, record):
    record['tokenizer'] = tokenizer.to_json()
    record['utf8'] = fault is None
    record['splits'] = {
      split: _write_split(folder, split, source, tokenizer, pieces)
      for split in SPLITS
    }


def _not_utf8(source: Source, pieces: Reader) -> ConfigError | None:
  """What there is to say if a document is not UTF-8."""
  for split in SPLITS:
    for document, offset, text in pieces(split):
      try:
        text.decode()
      except UnicodeDecodeError as error:
        return ConfigError(
          'path',
          str(source.documents[document].path),
          f"is not UTF-8 at byte {offset + error.start}; tokens='bytes' reads "
          'any text',
        )
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
      _check(ids, tokenizer.vocab, source.documents[document].path, offset)
      if offset == 0 and size:
        starts.append(int(counts.sum()))
      counts += np.bincount(ids, minlength=tokenizer.vocab)
      size += len(text)
      letters = (np.frombuffer(text, np.uint8) & 0xC0) != 0x80
      characters += int(letters.sum())
      file.write(ids.tobytes())
      ids = np.concatenate([before, ids])
      begun = tokenizer.contents.words(ids[:-1], ids[1:], source.line_ends)
      words += int(begun.sum())
      before = ids[-1:]
  rule = f'{split} is nothing but white space'
  require(bool(counts.any()), 'path', source.place, rule)
  np.array(starts, '<i8').tofile(folder / f'{split}.starts')
  unknown = unknown_bytes = 0
  if isinstance(tokenizer, Characters):
    unknown = int(counts[tokenizer.unknown])
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
    at = wrong[0]
    raise ConfigError(
      'path',
      str(path),
      f'token {at} counted from byte {offset} is {ids[at]}, outside the '
      f'vocabulary of {vocab}',
    )


def _map(place: Path, split: str, dtype: str, **counts: int) -> Split:
  def mapped(name: str, dtype: str) -> np.ndarray:
    return np.asarray(np.memmap(place / f'{split}.{name}', dtype, mode='r'))

  return Split(mapped('tokens', dtype), mapped('starts', '<i8'), **counts)
