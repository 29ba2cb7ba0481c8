"""Texts that are token ids already: `.bin` and `.npy` files.

A `.bin` file holds uint16 or uint32 in little endian without a header, as
nanoGPT writes it, or behind the header of llm.c. It is uint32 if the vocabulary
has more than 65,536 symbols or if every second uint16 is 0. A `.npy` file holds
one axis of integers. Files are memory-mapped where they lie; only a split of
several files is copied into the cache.
"""

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np

from memjax.data.cache import cache_folder, fill_folder, lock, read_filled
from memjax.data.known import known
from memjax.data.scan import CUT, SourceFile, check_unchanged
from memjax.data.sources import Source
from memjax.data.splits import FileOptions, place_files, unreadable
from memjax.data.token_files import Split
from memjax.errors import ConfigError, require

FILES = '*.bin,*.npy'
HEADER, HEADER_BYTES = 20240520, 1024  # of llm.c
CHUNK = 1 << 24  # ids


@dataclasses.dataclass(frozen=True, eq=False)
class IdSource(Source):
  """Files of token ids; each is a document, its size the number of ids.

  Attributes:
    vocab: V; every id is below it.
  """

  vocab: int = 0
  unit = 'ids'

  def is_unchanged(self, file: SourceFile) -> bool:
    try:
      return hash_ids(file.path, self.vocab).decode() == file.digest
    except (OSError, ConfigError):
      return False

  def cut_inside(self, document: int, place: int) -> int:
    del document
    return place

  def open_splits(self) -> dict[str, Split]:
    """The ids of each split."""
    return {split: self._open(split) for split in self.spans}

  def _open(self, split: str) -> Split:
    pool, first, last = self.spans[split]
    parts, starts, end = [], [], 0
    for file in self.files:
      if file.splits_D[0] != pool:
        continue
      start, end = end, end + int(file.sizes_D[0])
      if start < last and end > first:
        check_unchanged(file)
        ids = map_ids(file.path, self.vocab)
        starts.append(max(start - first, 0))
        parts.append(ids[max(first - start, 0) : last - start])
    tokens = parts[0] if len(parts) == 1 else self._joined(split, parts)
    return Split(tokens, np.array(starts), 0, 0, 0, 0, 0)

  def _joined(self, split: str, parts: list[np.ndarray]) -> np.ndarray:
    """The ids of several files, from the cache."""
    dtype = np.result_type(*parts)
    with lock(cache_folder()):
      place = cache_folder() / 'tokens' / f'{self.fingerprint}-ids-{split}'
      if read_filled(place) is None:
        with fill_folder(place) as (folder, _):
          size = sum(map(len, parts))
          joined = np.memmap(folder / 'ids', dtype, 'w+', shape=size)
          np.concatenate(parts, out=joined)
          joined.flush()
    return np.asarray(np.memmap(place / 'ids', dtype, mode='r'))


def id_files(path: str, vocab: int, options: FileOptions) -> IdSource:
  """The token ids of a file or of the .bin and .npy files of a folder.

  Raises:
    ConfigError: a path is missing, a file does not hold ids, an id is outside
      the vocabulary, or only some names say a split.
  """
  options = dataclasses.replace(options, include=options.include or FILES)
  files = []
  for file, split in place_files(path, options):
    try:
      stat = file.stat()
    except OSError as error:
      raise unreadable(file, error) from None
    times = stat.st_mtime_ns, stat.st_ctime_ns
    files.append(scan_ids(file, stat.st_size, *times, vocab, split))
  return IdSource('ids', path, tuple(files), vocab=vocab)


@functools.lru_cache(maxsize=1 << 12)
def scan_ids(
  path: Path,
  size: int,
  modified: int,
  changed: int,
  vocab: int,
  split: str = CUT,
) -> SourceFile:
  """What is in a file of ids; an earlier start's answer holds, see known.py."""
  digest = known(path, f'ids below {vocab}', lambda: hash_ids(path, vocab))
  return SourceFile(
    path,
    size,
    modified,
    np.array([len(map_ids(path, vocab))]),
    np.array([False]),
    np.array([split]),
    digest.decode(),
  )


def hash_ids(path: Path, vocab: int) -> bytes:
  """The SHA-256 of a file's ids, from reading and checking them all."""
  ids = map_ids(path, vocab)
  require(len(ids) > 0, 'path', str(path), 'has no ids')
  sha256 = hashlib.sha256(str(ids.dtype).encode())
  for start in range(0, len(ids), CHUNK):
    part = ids[start : start + CHUNK]
    wrong = np.flatnonzero((part >= vocab) | (part < 0))
    if wrong.size:
      rule = f'id {start + int(wrong[0]):,} is {part[wrong[0]]}, must be from '
      rule += f'0 to below task.vocab, {vocab}'
      raise ConfigError('path', str(path), rule)
    sha256.update(part.tobytes())
  return sha256.hexdigest().encode()


def map_ids(path: Path, vocab: int) -> np.ndarray:
  """The ids of a file, memory-mapped.

  Raises:
    ConfigError: the file cannot be read, or does not hold ids.
  """
  try:
    if path.suffix.lower() == '.npy':
      ids = np.load(path, mmap_mode='r', allow_pickle=False)
      rule = f'has {ids.ndim} axes of {ids.dtype}, must have one of integers'
      whole = ids.ndim == 1 and ids.dtype.kind in 'ui'
      require(whole, 'path', str(path), rule)
      return np.asarray(ids)
    rule = "is not a file of ids: tokens='ids' reads .bin and .npy"
    require(path.suffix.lower() == '.bin', 'path', str(path), rule)
    return _map_bin(path, vocab)
  except OSError as error:
    raise unreadable(path, error) from None
  except ValueError as error:
    if isinstance(error, ConfigError):
      raise
    rule = f'is not a file of ids: {str(error).splitlines()[0]}'
    raise ConfigError('path', str(path), rule) from None


def _map_bin(path: Path, vocab: int) -> np.ndarray:
  head = np.fromfile(path, '<u4', 1)
  offset = HEADER_BYTES if head.tolist() == [HEADER] else 0
  size = path.stat().st_size - offset
  first = np.fromfile(path, '<u2', 1 << 12, offset=offset)
  wide = vocab > 1 << 16 or (size % 4 == 0 and not first[1::2].any())
  dtype = np.dtype('<u4' if wide else '<u2')
  rule = f'has {size} bytes, not a multiple of {dtype.itemsize} for {dtype}'
  require(size % dtype.itemsize == 0, 'path', str(path), rule)
  return np.asarray(np.memmap(path, dtype, mode='r', offset=offset))
