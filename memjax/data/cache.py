"""The cache folder: its lock, and records and folders that are checked."""

from collections.abc import Iterator
import contextlib
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import shutil
from typing import Any

from memjax.errors import ConfigError

META = 'meta.json'
SET_BACK = 10_000_000_000  # nanoseconds

log = logging.getLogger(__name__)


def cache_folder() -> Path:
  """The folder of prepared corpora: $MEMJAX_CACHE, or ~/.cache/memjax."""
  return Path(os.environ.get('MEMJAX_CACHE') or '~/.cache/memjax').expanduser()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
  """Holds the folder's lock; creates the folder if it does not exist.

  A process waits until the lock is free. The kernel releases the lock when its
  process ends, even if the process is killed.

  Raises:
    ConfigError: the folder cannot be used or is full, either when the lock is
      taken or later, inside the `with` block.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'lock').open('a') as file:
      fcntl.flock(file, fcntl.LOCK_EX)
      yield
  except OSError as error:
    raise ConfigError(
      'cache',
      str(folder),
      f'cannot be used: {error.strerror or error}; set MEMJAX_CACHE to another '
      'folder',
    ) from None


def write_record(path: Path, record: dict[str, Any]) -> None:
  """Writes a JSON record and its SHA-256 in one atomic step."""
  partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
  partial.write_text(json.dumps([_digest(record), record]), encoding='utf-8')
  os.replace(partial, path)


def read_record(path: Path) -> dict[str, Any] | None:
  """The record that `write_record` wrote; None if missing or damaged."""
  try:
    digest, record = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError, TypeError):
    return None
  return record if digest == _digest(record) else None


@contextlib.contextmanager
def fill_folder(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
  """Fills a temporary folder, then moves it to `place`.

  Yields the temporary folder and an empty record. The `with` block fills both,
  and `read_filled` returns the record later. If the block raises, `place` does
  not exist afterwards.
  """
  partial = place.with_name(f'{place.name}.partial')
  shutil.rmtree(place, ignore_errors=True)
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  record: dict[str, Any] = {}
  try:
    yield partial, record
    files = {path.name: _describe(path) for path in partial.iterdir()}
    write_record(partial / META, record | {'described': files})
    os.replace(partial, place)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def read_filled(place: Path, hashed: bool = False) -> dict[str, Any] | None:
  """The record of a folder that `fill_folder` filled.

  None if the folder is missing or a file has changed. A file with the recorded
  size and time is not read, unless all are to be `hashed`.
  """
  if not place.exists():
    return None
  record = read_record(place / META) or {}
  described = record.get('described', {})
  if described and all(
    _is_whole(place / name, file, hashed) for name, file in described.items()
  ):
    return record
  log.warning('%s is damaged; preparing it again', place)
  return None


def _describe(path: Path) -> dict[str, Any]:
  """Size, time and SHA-256 of a file just written.

  Its time is set back, so that any later change gives it another one.
  """
  earlier = path.stat().st_mtime_ns - SET_BACK
  os.utime(path, ns=(earlier, earlier))
  return {
    'size': path.stat().st_size,
    'modified': path.stat().st_mtime_ns,
    'sha256': file_digest(path),
  }


def _is_whole(path: Path, described: dict[str, Any], hashed: bool) -> bool:
  if not path.exists() or path.stat().st_size != described['size']:
    return False
  modified = described['modified']
  if path.stat().st_mtime_ns == modified and not hashed:
    return True
  if file_digest(path) != described['sha256']:
    return False
  with contextlib.suppress(PermissionError):  # another user's cache
    os.utime(path, ns=(modified, modified))
  return True


def file_digest(path: Path) -> str:
  """The SHA-256 of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _digest(record: Any) -> str:
  text = json.dumps(record, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()
