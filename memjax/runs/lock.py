"""One training process per workdir, by a lock that ends with its process."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import socket
from typing import TextIO

from memjax.errors import ConfigError


class InUse(ConfigError):
  """Another process holds the lock."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[TextIO]:
  """Holds `folder/.lock` while the body runs; creates the folder if missing.

  The kernel releases the lock when the process ends, even if it is killed. With
  several processes in one run only the first takes it. Yields the open file.

  Raises:
    InUse: another process holds it.
    ConfigError: the folder cannot be written.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / '.lock').open('a+', encoding='utf-8')
  except OSError as error:
    raise _unwritable(folder, error) from None
  with file:
    _take(file, folder)
    yield file


def _take(file: TextIO, folder: Path) -> None:
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
  except BlockingIOError:
    file.seek(0)
    holder = file.read() or 'another process'
    raise InUse('workdir', str(folder), f'is in use by {holder}') from None
  except OSError as error:
    raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> ConfigError:
  return ConfigError(
    'workdir', str(folder), f'cannot be written: {error.strerror}'
  )
