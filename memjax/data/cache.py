"""The cache folder: one lock; records and folders that show they are whole."""

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

log = logging.getLogger(__name__)


def cache_folder() -> Path:
  """Where prepared corpora lie: $MEMJAX_CACHE, or ~/.cache/memjax."""
  return Path(os.environ.get('MEMJAX_CACHE') or '~/.cache/memjax').expanduser()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
  """Waits for the folder's lock and holds it; makes the folder if need be.

  The kernel releases the lock when the process ends, however it ends.

  Raises:
    ConfigError: the folder cannot be used, or is full, before or while it is
      held.
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
      f'cannot be used: {error.strerror or error}; MEMJAX_CACHE sets another',
    ) from None


def write_record(path: Path, record: dict[str, Any]) -> None:
  """Writes a JSON record beside its SHA-256, whole or not at all."""
  partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
  partial.write_text(json.dumps([_digest(record), record]), encoding='utf-8')
  os.replace(partial, path)


def read_record(path: Path) -> dict[str, Any] | None:
  """What `write_record` wrote; None if it is missing or damaged."""
  try:
    digest, record = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError, TypeError):
    return None
  return record if digest == _digest(record) else None


@contextlib.contextmanager
def filling(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
  """A new folder that comes to its place only once it is filled.

  Yields the folder to fill and a record to fill, which `filled` gives back.
  """
  partial = place.with_name(f'{place.name}.partial')
  shutil.rmtree(place, ignore_errors=True)
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  record: dict[str, Any] = {}
  try:
    yield partial, record
    files = {path.name: file_digest(path) for path in partial.iterdir()}
    write_record(partial / META, record | {'files': files})
    os.replace(partial, place)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def filled(place: Path) -> dict[str, Any] | None:
  """The record of a folder that holds what `filling` put there, or None."""
  if not place.exists():
    return None
  record = read_record(place / META)
  if record is not None and all(
    (place / name).exists() and file_digest(place / name) == digest
    for name, digest in record['files'].items()
  ):
    return record
  log.warning('%s is damaged and made again', place)
  return None


def file_digest(path: Path) -> str:
  """The SHA-256 of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _digest(record: Any) -> str:
  text = json.dumps(record, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()
