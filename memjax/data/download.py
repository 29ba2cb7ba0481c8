"""Released files: placed by hand or downloaded, and always verified.

In the cache folder, `downloads/manual/` belongs to the user: a file found there
under its released name is used instead of a download. Downloads are stored in
`downloads/`. A download gets its final name only after its size and SHA-256
match the release.
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

from memjax.data.cache import cache_folder
from memjax.data.known import known_digest
from memjax.errors import ConfigError, require

TIMEOUT = 20  # seconds without a response
CHUNK = 1 << 20  # bytes
PARALLEL = 16  # downloads at once
# wikitext.smerity.com answers 403 to urllib's default user agent.
AGENT = {'User-Agent': 'Mozilla/5.0 (compatible; memjax)'}

log = logging.getLogger(__name__)


class File(NamedTuple):
  """A file as it was released.

  Attributes:
    url: its public address.
    name: its name in the folders above.
    size: number of bytes.
    sha256: empty if none has been published; then only the size is checked.
    other_names: names under which a user may have placed it.
  """

  url: str
  name: str
  size: int
  sha256: str
  other_names: tuple[str, ...] = ()

  def fault(self, size: int, sha256: str) -> str:
    """How a file differs from the release; empty if it does not."""
    if size != self.size:
      return f'has {size:,} bytes; the released file has {self.size:,}'
    if self.sha256 not in ('', sha256):
      return f'has SHA-256 {sha256}; the released file has {self.sha256}'
    return ''


class Setting(NamedTuple):
  """The setting that needs a file; error messages name it.

  Attributes:
    field: the setting's name.
    value: its value.
    alternative: what else the user can do, appended to the error message.
  """

  field: str
  value: str
  alternative: str = ''

  def error(self, file: File, fault: str) -> ConfigError:
    rule = f'{file.url} {fault}; put {file.name} into {manual()}'
    return ConfigError(self.field, self.value, rule + self.alternative)


def manual() -> Path:
  """The user's own folder of files: `downloads/manual` in the cache folder."""
  return cache_folder() / 'downloads' / 'manual'


def find_placed(file: File, setting: Setting) -> Path | None:
  """The path of a file that the user placed by hand; None if there is none.

  Raises:
    ConfigError: a file has one of the released file's names, but another
      content.
  """
  for name in (file.name, *file.other_names):
    path = manual() / name
    if path.is_file():
      fault = file.fault(*_measure(path, file.size))
      rule = f'{path} {fault}; delete it, or put the released file there'
      require(not fault, setting.field, setting.value, rule)
      return path
  return None


def fetch(file: File, setting: Setting) -> Path:
  """The path of a file; downloads the file if it is missing or damaged.

  The caller holds the lock of the cache folder.

  Raises:
    ConfigError: the download fails, or differs from the release.
  """
  [path] = fetch_all([file], setting)
  return path


def fetch_all(files: Sequence[File], setting: Setting) -> list[Path]:
  """The paths of many files, downloaded in parallel.

  Logs the total size first, then each tenth of it. Otherwise like `fetch`.
  """
  progress = _progress(sum(file.size for file in files), files[0].url)
  with ThreadPoolExecutor(PARALLEL) as pool:
    fetch_one = functools.partial(_fetch, setting, progress)
    return list(pool.map(fetch_one, files))


def _fetch(
  setting: Setting, progress: Callable[[int], None], file: File
) -> Path:
  path = find_placed(file, setting)
  if path is not None:
    return path
  path = manual().parent / file.name
  if path.is_file():
    if not file.fault(*_measure(path, file.size)):
      return path
    log.warning('%s is damaged; downloading it again', path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'{path.name}.partial')
  content_hash, size = hashlib.sha256(), 0
  try:
    with partial.open('wb') as out:
      for chunk in _download(file, setting):
        content_hash.update(chunk)
        size += len(chunk)
        out.write(chunk)
        progress(len(chunk))
    if fault := file.fault(size, content_hash.hexdigest()):
      raise setting.error(file, f'was downloaded but {fault}')
    os.replace(partial, path)
  finally:
    partial.unlink(missing_ok=True)
  return path


def _download(file: File, setting: Setting) -> Iterator[bytes]:
  """The file's bytes in chunks; stops soon after the released size."""
  request = urllib.request.Request(file.url, headers=AGENT)
  received = 0
  try:
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
      while received <= file.size and (chunk := response.read(CHUNK)):
        yield chunk
        received += len(chunk)
  except (OSError, http.client.HTTPException) as error:
    if isinstance(error, urllib.error.HTTPError):
      error.close()
    reason = getattr(error, 'reason', None) or error
    raise setting.error(file, f'cannot be downloaded ({reason})') from None


def _progress(size: int, url: str) -> Callable[[int], None]:
  """A function, safe in any thread, that logs the bytes received so far.

  It logs a line at the first bytes and at each tenth of `size`.
  """
  received = logged_tenths = 0
  lock = threading.Lock()

  def add(count: int) -> None:
    nonlocal received, logged_tenths
    with lock:
      if not received:
        log.info('downloading %s: %.1f MB', url, size / 1e6)
      received += count
      if received * 10 // size > logged_tenths:
        logged_tenths = received * 10 // size
        log.info('downloaded %d of %.1f MB', received // 10**6, size / 1e6)

  return add


def _measure(path: Path, size: int) -> tuple[int, str]:
  """A file's size and SHA-256; no SHA-256 if it has another size."""
  if path.stat().st_size != size:
    return path.stat().st_size, ''
  return size, known_digest(path)
