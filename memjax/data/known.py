"""What is known of a file, so that the next start need not read it.

An answer is kept in `known.sqlite` of the cache folder, with the file's size
and times, and holds as long as these stay the same. If the file was changed
less than SETTLED before it was read, nothing is kept: a further change might
leave its times as they are.
"""

from collections.abc import Callable
import functools
from pathlib import Path
import sqlite3
import threading
import time

from memjax.data.cache import cache_folder, file_digest

SETTLED = 2_000_000_000  # nanoseconds
_TABLE = """CREATE TABLE IF NOT EXISTS known (
  path TEXT, question TEXT, stamp TEXT, answer BLOB,
  PRIMARY KEY (path, question)
)"""
_FIND = 'SELECT answer FROM known WHERE path = ? AND question = ? AND stamp = ?'
_KEEP = 'REPLACE INTO known (path, question, stamp, answer) VALUES (?, ?, ?, ?)'


def known(path: Path, question: str, find: Callable[[], bytes]) -> bytes:
  """The answer to a question about what a file contains.

  Args:
    path: the file.
    question: any text. If the rule of the answer changes, so must the question.
    find: reads the file and answers.

  Raises:
    OSError: the file cannot be read.
  """
  name, before = str(path.resolve()), _stamp(path)
  started = time.time_ns()
  kept = _query(_FIND, name, question, before)
  if kept is not None:
    return kept
  answer = find()
  settled = max(before[1:]) < started - SETTLED
  if settled and _stamp(path) == before:
    _query(_KEEP, name, question, before, answer)
  return answer


def known_digest(path: Path) -> str:
  """The SHA-256 of a file."""
  return known(path, 'sha256', lambda: file_digest(path).encode()).decode()


def _stamp(path: Path) -> tuple[int, int, int]:
  """Size, and times of the last change of the content and of the entry."""
  stat = path.stat()
  return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _query(
  query: str,
  name: str,
  question: str,
  stamp: tuple[int, ...],
  *answer: bytes,
) -> bytes | None:
  """The first value found; None if the table has none or cannot be used."""
  path = cache_folder() / 'known.sqlite'
  try:
    with _lock, _open(path) as table:
      values = name, question, repr(stamp), *answer
      row = table.execute(query, values).fetchone()
    return row and row[0]
  except (OSError, sqlite3.OperationalError):  # no place, or no right to write
    return None
  except sqlite3.DatabaseError:
    _open.cache_clear()
    path.unlink(missing_ok=True)
    return None


_lock = threading.Lock()


@functools.lru_cache(1)
def _open(path: Path) -> sqlite3.Connection:
  path.parent.mkdir(parents=True, exist_ok=True)
  table = sqlite3.connect(path, timeout=60, check_same_thread=False)
  # A table that a power failure damages is made again, so nothing is synced.
  table.execute('PRAGMA synchronous = OFF')
  table.execute(_TABLE)
  return table
