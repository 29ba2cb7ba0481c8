"""Snapshots in files: sealed, mapped into memory, ended by forgetting.

    snapshot.json         what it is, its fingerprint and the name of its key
    key_ND.sealed ...     each column in pieces, each sealed with AES-256-GCM

Each snapshot has a key of its own in the keyring of its store. Whatever removes
records of the space destroys that key: from then on no copy of the snapshot
answers, wherever it lies, nor does a process that has it open. Pieces open
beside their fingerprint, column and place only.
"""

from collections.abc import Callable
import functools
import json
import os
from pathlib import Path
import time
from typing import Any, NamedTuple

import numpy as np

from memjax.errors import ConfigError, require
from memjax.store.crypto import Cipher, read_master
from memjax.store.keyring import FileKeyring, Keyring
from memjax.store.records import Damaged
from memjax.store.snapshot import COLUMNS, PIECE, Snapshot

MANIFEST, SUFFIX = 'snapshot.json', '.sealed'
SEALING = 28  # bytes of nonce and tag
OPEN_PIECES = 4  # of each column


class Seal(NamedTuple):
  """What a snapshot in files says of itself.

  Attributes:
    key: the name of its key in the keyring.
    keyring: the file of the keyring, where it was when it was saved; '': none.
    until: seconds since 1970 when the first of its records expires; 0: never.
    remedy: how a new one is made.
  """

  key: str
  keyring: str
  until: float
  remedy: str


class Sealed:
  """A column of a snapshot in a file, opened piece by piece."""

  def __init__(
    self,
    path: Path,
    dtype: np.dtype,
    shape: tuple[int, ...],
    fingerprint: str,
    opener: Callable[[], Cipher],
  ):
    """Maps the file.

    Raises:
      OSError: it cannot be read.
      ValueError: it has another size.
    """
    self.dtype, self.shape, self._opener = dtype, shape, opener
    self._row = int(np.prod(shape[1:], dtype=int)) * dtype.itemsize
    self._place = f'{fingerprint}\0{path.stem}\0{shape[0]}'
    pieces = -(-shape[0] // PIECE)
    size = shape[0] * self._row + pieces * SEALING
    if path.stat().st_size != size:
      raise ValueError(f'{path.name} has another size')
    empty = np.zeros(0, np.uint8)
    self._bytes = np.memmap(path, np.uint8, 'r') if size else empty
    self.piece = functools.lru_cache(OPEN_PIECES)(self._piece)

  def __len__(self) -> int:
    return self.shape[0]

  def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
    """Rows of a slice of step 1, or at places."""
    self._opener()  # what was opened before is not shown either
    if isinstance(index, slice):
      begin, end, _ = index.indices(len(self))
      index = np.arange(begin, end)
    found = np.empty((*index.shape, *self.shape[1:]), self.dtype)
    for piece in np.unique(index // PIECE).tolist():
      of = index // PIECE == piece
      found[of] = self.piece(piece)[index[of] % PIECE]
    return found

  def _piece(self, number: int) -> np.ndarray:
    rows = min(PIECE, len(self) - number * PIECE)
    begin = number * (PIECE * self._row + SEALING)
    sealed = self._bytes[begin : begin + rows * self._row + SEALING].tobytes()
    content = self._opener().open(sealed, f'{self._place}\0{number}'.encode())
    return np.frombuffer(content, self.dtype).reshape(rows, *self.shape[1:])


def save_snapshot(
  snapshot: Snapshot, folder: Path, cipher: Cipher, seal: Seal
) -> None:
  """Writes sealed columns, and last what makes them a snapshot.

  Raises:
    ConfigError: the folder holds files, or cannot be written.
  """
  fingerprint = snapshot.fingerprint
  try:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
      raise ConfigError('snapshot', str(folder), 'is not empty')
    columns = {}
    for name, array in snapshot.columns.items():
      columns[name] = [str(array.dtype), list(array.shape)]
      with (folder / f'{name}{SUFFIX}').open('wb') as file:
        for at in range(0, len(array), PIECE):
          place = f'{fingerprint}\0{name}\0{len(array)}\0{at // PIECE}'
          piece = np.ascontiguousarray(array[at : at + PIECE]).tobytes()
          file.write(cipher.seal(piece, place.encode()))
    content: dict[str, Any] = {
      'metric': snapshot.metric,
      'about': snapshot.about,
      'fingerprint': fingerprint,
      'columns': columns,
      **seal._asdict(),
    }
    (folder / MANIFEST).write_text(json.dumps(content), encoding='utf-8')
  except OSError as error:
    raise ConfigError('snapshot', str(folder), str(error)) from None


def open_snapshot(
  folder: Path,
  keyring: Keyring | None = None,
  clock: Callable[[], float] = time.time,
) -> Snapshot:
  """The snapshot of a folder; its columns are mapped, not read.

  Args:
    folder: where it was saved.
    keyring: of its store; None: the file that `MEMJAX_STORE_KEYRING` names, or
      where it was when the snapshot was saved, with the master key of the
      environment.
    clock: the time, in seconds since 1970.

  Raises:
    ConfigError: the folder holds none, or there is no key.
    Damaged: the files are not those that were written, or the snapshot has
      ended: records were removed or have expired.
  """
  try:
    content = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
    seal = Seal(*(content[field] for field in Seal._fields))
    columns = {
      name: (np.dtype(content['columns'][name][0]), content['columns'][name][1])
      for name in COLUMNS
    }
    fingerprint = str(content['fingerprint'])
    metric, about = str(content['metric']), str(content['about'])
  except OSError as error:
    raise ConfigError('snapshot', str(folder), str(error)) from None
  except (ValueError, KeyError, TypeError):
    raise Damaged('snapshot', str(folder), 'is damaged') from None
  opener = functools.partial(
    open_seal, folder, seal, keyring or own_keyring(folder, seal), clock
  )
  opener()
  try:
    keys, tokens, numbers, times, sources = (
      Sealed(folder / f'{name}{SUFFIX}', dtype, (*shape,), fingerprint, opener)
      for name, (dtype, shape) in columns.items()
    )
  except OSError as error:
    raise ConfigError('snapshot', str(folder), str(error)) from None
  except (ValueError, TypeError):
    raise Damaged('snapshot', str(folder), 'is damaged') from None
  return Snapshot(
    *(keys, tokens, numbers, times, sources), metric, about, fingerprint
  )


def own_keyring(folder: Path, seal: Seal) -> Keyring:
  """The keyring of the environment, or the one that the snapshot names."""
  path = os.environ.get('MEMJAX_STORE_KEYRING', '') or seal.keyring
  rule = 'needs its keyring: set MEMJAX_STORE_KEYRING to the file'
  require(Path(path).is_file(), 'snapshot', str(folder), rule)
  return FileKeyring(Path(path), read_master())


def open_seal(
  folder: Path, seal: Seal, keyring: Keyring, clock: Callable[[], float]
) -> Cipher:
  """The cipher of a snapshot that has not ended."""
  cipher = keyring.cipher(seal.key)
  expired = bool(seal.until) and clock() >= seal.until
  if cipher is None or expired:
    rule = 'records were removed from its space since'
    rule = 'a record of it has expired' if cipher else rule
    rule = f'has ended: {rule}; make a new one: {seal.remedy}'
    raise Damaged('snapshot', str(folder), rule)
  return cipher
