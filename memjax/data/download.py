"""Released files: placed by hand or fetched, and used only if they are whole.

In the cache folder, `downloads/manual/` is the user's: a file found there by
its name is the one that is used. Whatever is fetched comes to `downloads/`, and
stands under its name only once it has the size and the SHA-256 of the release.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
import functools
import hashlib
import http.client
import logging
import os
from pathlib import Path
import threading
from typing import NamedTuple
import urllib.error
import urllib.request

from memjax.data.cache import cache_folder, file_digest
from memjax.errors import ConfigError, require

TIMEOUT = 20  # seconds without an answer
CHUNK = 1 << 20  # bytes
AT_ONCE = 16  # of many files
# wikitext.smerity.com answers 403 to the name that urllib gives itself.
AGENT = {'User-Agent': 'Mozilla/5.0 (compatible; memjax)'}

log = logging.getLogger(__name__)


class File(NamedTuple):
  """A file as it was released.

  Attributes:
    url: its public address.
    name: in the folders above.
    size: bytes.
    sha256: empty where none has been published: then the size must do.
    also: other names under which a user may have it.
  """

  url: str
  name: str
  size: int
  sha256: str
  also: tuple[str, ...] = ()

  def fault(self, size: int, sha256: str) -> str:
    """What keeps a file from being this one; empty if nothing does."""
    if size != self.size:
      return f'has {size:,} bytes, not the {self.size:,} of the release'
    if self.sha256 not in ('', sha256):
      return f'has SHA-256 {sha256}, not {self.sha256}'
    return ''


class Asked(NamedTuple):
  """Which field's value needs a file, and what may be done without one."""

  field: str
  value: str
  instead: str = ''

  def error(self, file: File, fault: str) -> ConfigError:
    rule = f'{file.url} {fault}; put {file.name} into {manual()}{self.instead}'
    return ConfigError(self.field, self.value, rule)


def manual() -> Path:
  """Where the user puts files: `downloads/manual` in the cache folder."""
  return cache_folder() / 'downloads' / 'manual'


def placed(file: File, asked: Asked) -> Path | None:
  """The file where the user has put it, under one of its names, if anywhere.

  Raises:
    ConfigError: a file of this name is another file.
  """
  for name in (file.name, *file.also):
    path = manual() / name
    if path.is_file():
      fault = file.fault(*_measured(path, file.size))
      rule = f'{path} {fault}: remove it, or put the released file there'
      require(not fault, asked.field, asked.value, rule)
      return path
  return None


def fetched(file: File, asked: Asked) -> Path:
  """The file, fetched unless it is there; the caller holds the cache's lock.

  Raises:
    ConfigError: it cannot be fetched, or what comes is another file.
  """
  [path] = fetched_all([file], asked)
  return path


def fetched_all(files: Sequence[File], asked: Asked) -> list[Path]:
  """Many files as one: several at a time, their progress told in tenths."""
  tell = _teller(sum(file.size for file in files), files[0].url)
  with ThreadPoolExecutor(AT_ONCE) as pool:
    return list(pool.map(functools.partial(_fetched, asked, tell), files))


def _fetched(asked: Asked, tell: Callable[[int], None], file: File) -> Path:
  path = placed(file, asked)
  if path is not None:
    return path
  path = manual().parent / file.name
  if path.is_file():
    if not file.fault(*_measured(path, file.size)):
      return path
    log.warning('%s is damaged and fetched again', path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'{path.name}.partial')
  seen, size = hashlib.sha256(), 0
  try:
    with partial.open('wb') as out:
      for chunk in _chunks(file, asked):
        seen.update(chunk)
        size += len(chunk)
        out.write(chunk)
        tell(len(chunk))
    if fault := file.fault(size, seen.hexdigest()):
      raise asked.error(file, f'came, and {fault}')
    os.replace(partial, path)
  finally:
    partial.unlink(missing_ok=True)
  return path


def _chunks(file: File, asked: Asked) -> Iterator[bytes]:
  """The file as it comes, and not much more than it should be."""
  request = urllib.request.Request(file.url, headers=AGENT)
  come = 0
  try:
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
      while come <= file.size and (chunk := response.read(CHUNK)):
        yield chunk
        come += len(chunk)
  except (OSError, http.client.HTTPException) as error:
    if isinstance(error, urllib.error.HTTPError):
      error.close()
    reason = getattr(error, 'reason', None) or error
    raise asked.error(file, f'cannot be fetched ({reason})') from None


def _teller(size: int, url: str) -> Callable[[int], None]:
  """Tells, from any thread, of the first bytes that come and of each tenth."""
  come = told = 0
  one_by_one = threading.Lock()

  def tell(more: int) -> None:
    nonlocal come, told
    with one_by_one:
      if not come:
        log.info('fetching %s: %.1f MB', url, size / 1e6)
      come += more
      if come * 10 // size > told:
        told = come * 10 // size
        log.info('fetched %d of %.1f MB', come // 10**6, size / 1e6)

  return tell


def _measured(path: Path, size: int) -> tuple[int, str]:
  """A file's size and SHA-256; of one of another size not the SHA-256."""
  if path.stat().st_size != size:
    return path.stat().st_size, ''
  return size, file_digest(path)
