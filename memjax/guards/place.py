"""Where a run's workdir is, while the run trains in it.

The lock file is held open, so its folder is known wherever it goes. If the path
names another folder or none, the run stops: rows and checkpoints would go to
two places, and another run could start here.

    moved     the newest state is saved in the new place
    replaced  the same; the new folder in the old place stays as it is
    unlocked  `.lock` alone was removed: saved, unless another run began here
    deleted   nothing can be saved: the checkpoints are gone as well
"""

from collections.abc import Callable
import errno
import fcntl
import os
from pathlib import Path
from typing import TextIO

DELETED = ' (deleted)'  # what Linux adds to the path of such a file


class Gone(OSError):
  """The workdir is no longer where the run began; the message is one line."""

  def __init__(self, folder: Path, rule: str):
    super().__init__(errno.ENOENT, rule, str(folder))


class Place:
  """A workdir, followed by its lock file.

  Attributes:
    folder: where it is now.
    end: why the run stops; empty: the workdir is where it was.
  """

  def __init__(self, folder: Path, lock: TextIO):
    self.folder, self.end = folder, ''
    self._began, self._lock = folder, lock
    self._stat = os.stat(folder)

  def left(self, follow: Callable[[Path], None]) -> bool:
    """Whether the run must stop, as the workdir is no longer at its path.

    Args:
      follow: is told the new folder of the checkpoints, once.

    Raises:
      Gone: nothing can be saved any more.
    """
    if not self.end and not _same(self._began / '.lock', self._lock):
      self._find()
      follow(self.folder / 'checkpoints')
    return bool(self.end)

  def close(self) -> None:
    """Gives up the lock."""
    self._lock.close()

  def check(self, step: int) -> None:
    """At the end of a run.

    Raises:
      Gone: the workdir was moved; the message says where this step is.
    """
    if self.end:
      rule = f'{self.end}; step {step} is saved there, and --workdir='
      raise Gone(self._began, f'{rule}{self.folder} resumes')

  def _find(self) -> None:
    found = Path(os.readlink(f'/proc/self/fd/{self._lock.fileno()}'))
    deleted = str(found).endswith(DELETED)
    if not deleted:
      self.folder = found.parent
      self.end = f'was moved to {self.folder} while the run trained in it'
    elif self._is_unlocked():
      self.end = 'lost its lock file while the run trained in it'
    else:
      raise Gone(
        self._began,
        'was deleted while the run trained in it; its checkpoints are gone too',
      )

  def _is_unlocked(self) -> bool:
    """Whether only the lock file is gone; takes a new one."""
    try:
      if not os.path.samestat(os.stat(self._began), self._stat):
        return False
      file = (self._began / '.lock').open('a+', encoding='utf-8')
    except FileNotFoundError:
      return False
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.close()
      rule = 'lost its lock file, and another run began in it'
      raise Gone(self._began, rule) from None
    self._lock = file
    return True


class OpenRun:
  """A workdir while a run trains in it.

  Attributes:
    end: why the run has finished; empty: it has not. Set by the training loop.
    place: where the workdir is; None in every process but the first.
  """

  end = ''
  place: Place | None = None

  def left(self, follow: Callable[[Path], None]) -> bool:
    """Whether the run must stop, as its workdir was moved; see `Place`."""
    return self.place is not None and self.place.left(follow)


def _same(path: Path, file: TextIO) -> bool:
  try:
    return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
  except (FileNotFoundError, NotADirectoryError):
    return False
