"""Corpora made ready: recorded once, tokenised once, read by memory map.

In the cache folder:
  records/FINGERPRINT/         the documents, a TFDS data set
  tokens/FINGERPRINT-KIND/     of each split its tokens, the places where its
                               documents start, and meta.json: sizes, SHA-256s,
                               the tokenizer
The fingerprint is that of the text, so a changed file is another corpus. What
is damaged or half written is found by its SHA-256 and made again. All of this
happens under one lock: processes may prepare the same corpus at once.
"""

import dataclasses
import functools
import hashlib
import logging
import lzma
import os
from pathlib import Path
import shutil
from typing import Any

import numpy as np

from memjax.data.cache import cache_folder, lock, read_record, write_record
from memjax.data.records import Reader, recorded
from memjax.data.sources import SPLITS, Source, standard_library, text_files
from memjax.data.tokenizers import Bytes, Characters, Tokenizer, from_json
from memjax.errors import ConfigError

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
    characters: of the text; where it is not UTF-8, bytes that may begin one.
    unknown: how many tokens are the unknown character.
    unknown_bytes: of the text that those stand for.
  """

  tokens: np.ndarray
  starts: np.ndarray
  bytes: int
  characters: int
  unknown: int
  unknown_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
  """A corpus ready to be read.

  Attributes:
    source: the documents, how they are cut, and their fingerprint.
    tokenizer: how they became tokens.
    splits: train, validation and test.
  """

  source: Source
  tokenizer: Tokenizer
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
def open_corpus(name: str, path: str, tokens: str) -> Corpus:
  """A corpus by name, prepared if it is not; the same object every time.

  Args:
    name: 'standard_library' or 'files'.
    path: the file or folder of 'files'.
    tokens: 'bytes' or 'characters'.

  Raises:
    ConfigError: the text cannot be read, is too short, or is not UTF-8 where
      characters are asked for; or the cache folder cannot be used.
  """
  library = name == 'standard_library'
  source = standard_library() if library else text_files(path)
  folder = cache_folder()
  place = folder / 'tokens' / f'{source.fingerprint}-{tokens}'
  with lock(folder):
    meta = _intact(place)
    if meta is None:
      log.info(
        'preparing %s: %s documents, %.1f MB',
        path or name,
        f'{len(source.documents):,}',
        source.size / 1e6,
      )
      pieces = recorded(source, folder / 'records')
      _write(place, source, _tokenizer(source, tokens, pieces), pieces)
      meta = _intact(place)
    if meta is None:
      raise OSError(f'{place} does not hold what was written to it')
    splits = {
      split: _map(place, split, **meta['splits'][split]) for split in SPLITS
    }
  return Corpus(source, from_json(meta['tokenizer']), splits, folder)


def _tokenizer(source: Source, tokens: str, pieces: Reader) -> Tokenizer:
  if tokens == Bytes.kind:
    return Bytes()
  for split in SPLITS:
    for document, offset, text in pieces(split):
      try:
        text.decode()
      except UnicodeDecodeError as error:
        raise ConfigError(
          'path',
          str(source.documents[document].path),
          f"is not UTF-8 at byte {offset + error.start}; tokens='bytes' reads "
          'any text',
        ) from None
  return Characters.of(text for _, _, text in pieces('train'))


def _write(
  place: Path, source: Source, tokenizer: Tokenizer, pieces: Reader
) -> None:
  """Writes all splits and then their meta.json, and puts them in place."""
  partial = place.with_name(f'{place.name}.partial')
  shutil.rmtree(place, ignore_errors=True)
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  try:
    splits = {
      split: _write_split(partial, split, source, tokenizer, pieces)
      for split in SPLITS
    }
    digests = {path.name: _digest(path) for path in sorted(partial.iterdir())}
    write_record(
      partial / 'meta.json',
      {'tokenizer': tokenizer.to_json(), 'splits': splits, 'files': digests},
    )
    os.replace(partial, place)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _write_split(
  folder: Path,
  split: str,
  source: Source,
  tokenizer: Tokenizer,
  pieces: Reader,
) -> dict[str, Any]:
  starts = [0]
  counts = np.zeros(tokenizer.vocab, np.int64)
  size = characters = 0
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
  np.array(starts, '<i8').tofile(folder / f'{split}.starts')
  unknown = unknown_bytes = 0
  if isinstance(tokenizer, Characters):
    unknown = int(counts[tokenizer.unknown])
    known_bytes = (counts * tokenizer.bytes_V.astype(np.int64)).sum()
    unknown_bytes = size - int(known_bytes)
  return {
    'dtype': ids.dtype.str,
    'bytes': size,
    'characters': characters,
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


def _intact(place: Path) -> dict[str, Any] | None:
  """The meta.json of a folder that holds what was written there."""
  if not place.exists():
    return None
  meta = read_record(place / 'meta.json')
  if meta is not None and all(
    (place / name).exists() and _digest(place / name) == digest
    for name, digest in meta['files'].items()
  ):
    return meta
  log.warning('%s is damaged and made again', place)
  return None


def _digest(path: Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _map(place: Path, split: str, dtype: str, **counts: int) -> Split:
  def mapped(name: str, dtype: str) -> np.ndarray:
    return np.asarray(np.memmap(place / f'{split}.{name}', dtype, mode='r'))

  return Split(mapped('tokens', dtype), mapped('starts', '<i8'), **counts)
