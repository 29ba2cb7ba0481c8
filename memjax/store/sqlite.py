"""Rows in one encrypted file: the engine of one machine.

SQLite with Multiple Ciphers (`apsw-sqlite3mc`): every page is sealed with
ChaCha20-Poly1305, so that a changed byte is found when its page is read. A
transaction is in the log of the file and synced before it ends; several
processes may read and one at a time writes. `sqlite-vec` searches in the file,
for stores whose keys do not fit into memory.
"""

from collections.abc import Iterator, Sequence
import contextlib
import json
import os
from pathlib import Path
import threading
from typing import Any

import numpy as np

from memjax.errors import ConfigError, NotSaved
from memjax.store.engine import EMPTY, Engine, Note, Row, State, Usage
from memjax.store.records import ANY, Damaged, Hits, Where
from memjax.store.sql import Dialect, hits_of, usage_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS spaces(
  id INTEGER PRIMARY KEY, name TEXT UNIQUE, end INTEGER, epoch INTEGER,
  width INTEGER);
CREATE TABLE IF NOT EXISTS records(
  space INTEGER, seq INTEGER, at REAL, expires REAL, tags TEXT, key BLOB,
  payload BLOB, PRIMARY KEY(space, seq));
CREATE TABLE IF NOT EXISTS reads(
  space INTEGER, seq INTEGER, count INTEGER, PRIMARY KEY(space, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS named(name TEXT PRIMARY KEY, content BLOB);
CREATE TABLE IF NOT EXISTS notes(
  number INTEGER PRIMARY KEY, content BLOB, tag BLOB);
"""
DIALECT = Dialect(
  '?',
  'instr(tags, ?) > 0',
  'seq IN (SELECT value FROM json_each(?))',
  json.dumps,
)
WAIT = 30.0  # seconds for another writer
DISTANCES = {'cosine': 'vec_distance_cosine', 'l2': 'vec_distance_l2'}
# Rows of this number of the space asked for.
OF_SPACE = 'space = (SELECT id FROM spaces WHERE name = ?)'
IN_RANGE = f'{OF_SPACE} AND seq >= ? AND seq < ?'


class Sqlite(Engine):
  """One file, and beside it the log while it is open."""

  def __init__(self, path: Path, key: bytes, searches: bool = False):
    """Opens the file, or creates one.

    Args:
      path: the file.
      key: 32 bytes that encrypt it.
      searches: search in the file; the keys are then sealed as pages only.

    Raises:
      ConfigError: a package is missing, or the file cannot be opened with it.
    """
    try:
      import apsw
    except ModuleNotFoundError:
      rule = "needs a package: pip install 'memjax[store]'"
      raise ConfigError('store', 'apsw-sqlite3mc', rule) from None
    self._apsw, self._path, self.searches = apsw, path, searches
    self._lock = threading.RLock()
    with self._explained():
      os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
      self._db = apsw.Connection(str(path))
      try:
        self._prepare(key)
      except BaseException:
        self._db.close()
        raise

  @contextlib.contextmanager
  def transaction(self, writes: bool = True) -> Iterator[None]:
    with self._lock, self._explained():
      self._db.execute('BEGIN IMMEDIATE' if writes else 'BEGIN')
      try:
        yield
        self._db.execute('COMMIT')
      except BaseException:
        if self._db.in_transaction:
          self._db.execute('ROLLBACK')
        raise

  def state(self, space: str) -> State:
    sql = 'SELECT end, epoch, width FROM spaces WHERE name = ?'
    found = self._db.execute(sql, (space,)).fetchone()
    return State(*found) if found else EMPTY

  def spaces(self) -> list[str]:
    names = self._db.execute('SELECT name FROM spaces ORDER BY name')
    return [name for (name,) in names]

  def put(self, space: str, width: int, rows: Sequence[Row]) -> None:
    self._db.execute(
      'INSERT INTO spaces(name, end, epoch, width) VALUES(?, 0, 0, ?) '
      'ON CONFLICT(name) DO NOTHING',
      (space, width),
    )
    sql = 'UPDATE spaces SET end = ? WHERE name = ?'
    self._db.execute(sql, (rows[-1].seq + 1, space))
    sql = 'SELECT id FROM spaces WHERE name = ?'
    ((number,),) = self._db.execute(sql, (space,)).fetchall()
    self._db.executemany(
      'INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?)',
      ((number, *row) for row in rows),
    )

  def rows(
    self, space: str, begin: int, end: int, where: Where = ANY
  ) -> Iterator[Row]:
    condition, values = DIALECT.restrict(where)
    sql = 'SELECT seq, at, expires, tags, key, payload FROM records WHERE '
    sql += f'{IN_RANGE}{condition} ORDER BY seq'
    for row in self._db.execute(sql, (space, begin, end, *values)):
      yield Row(*row)

  def keys(
    self, space: str, begin: int, end: int
  ) -> Iterator[tuple[int, float, float, str, bytes]]:
    sql = 'SELECT seq, at, expires, tags, key FROM records WHERE '
    sql += f'{IN_RANGE} ORDER BY seq'
    yield from self._db.execute(sql, (space, begin, end))

  def usage(self, space: str) -> Usage:
    sql = (
      'SELECT seq, at, expires, coalesce(count, 0), '
      'length(key) + length(payload) FROM records LEFT JOIN reads '
      f'USING(space, seq) WHERE {OF_SPACE} ORDER BY seq'
    )
    return usage_of(self._db.execute(sql, (space,)).fetchall())

  def touch(self, space: str, seqs: Sequence[int]) -> None:
    self._db.executemany(
      'INSERT INTO reads SELECT id, ?, 1 FROM spaces WHERE name = ? '
      'ON CONFLICT DO UPDATE SET count = count + 1',
      ((seq, space) for seq in seqs),
    )

  def delete(self, space: str, seqs: Sequence[int]) -> int:
    before = self._db.total_changes()
    sql = f'DELETE FROM records WHERE {OF_SPACE} AND seq = ?'
    self._db.executemany(sql, ((space, seq) for seq in seqs))
    count = self._db.total_changes() - before
    sql = f'DELETE FROM reads WHERE {OF_SPACE} AND seq = ?'
    self._db.executemany(sql, ((space, seq) for seq in seqs))
    if count:
      sql = 'UPDATE spaces SET epoch = epoch + 1 WHERE name = ?'
      self._db.execute(sql, (space,))
    return count

  def value(self, name: str) -> bytes | None:
    sql = 'SELECT content FROM named WHERE name = ?'
    found = self._db.execute(sql, (name,)).fetchone()
    return found[0] if found else None

  def set_value(self, name: str, content: bytes) -> None:
    self._db.execute(
      'INSERT OR REPLACE INTO named VALUES(?, ?)', (name, content)
    )

  def note(self, note: Note) -> None:
    self._db.execute('INSERT INTO notes VALUES(?, ?, ?)', note)

  def notes(self, since: int = 0) -> Iterator[Note]:
    sql = 'SELECT number, content, tag FROM notes WHERE number >= ? ORDER BY 1'
    yield from (Note(*row) for row in self._db.execute(sql, (since,)))

  def nearest(
    self,
    space: str,
    query_QD: np.ndarray,
    count: int,
    seen: tuple[int, int],
    now: float,
    where: Where,
    metric: str,
  ) -> Hits:
    condition, values = DIALECT.restrict(where)
    sql = f'SELECT seq, {DISTANCES[metric]}(key, ?) AS far FROM records WHERE '
    sql += f'{IN_RANGE} AND (expires = 0 OR expires > ?){condition} '
    sql += 'ORDER BY far, seq LIMIT ?'
    chosen = (space, *seen, now, *values, count)
    found: list[Any] = [
      self._db.execute(sql, (query_D.astype('<f4').tobytes(), *chosen))
      for query_D in query_QD
    ]
    return hits_of([rows.fetchall() for rows in found], count, metric)

  def scrub(self) -> None:
    with self._lock, self._explained():  # deleted cells are overwritten
      self._db.wal_checkpoint(mode=self._apsw.SQLITE_CHECKPOINT_TRUNCATE)

  def faults(self) -> Iterator[str]:
    for (line,) in self._db.execute('PRAGMA integrity_check'):
      if line != 'ok':
        yield f'{self._path}: {line}'

  def close(self) -> None:
    with self._lock, self._explained():
      self._db.close()

  def _prepare(self, key: bytes) -> None:
    db = self._db
    db.set_busy_timeout(int(1000 * WAIT))
    db.pragma('cipher', 'chacha20')
    db.pragma('key', f'raw:{key.hex()}')
    db.pragma('journal_mode', 'wal')
    db.pragma('synchronous', 'full')
    db.pragma('secure_delete', True)
    if self.searches:
      import sqlite_vec

      db.enable_load_extension(True)
      db.load_extension(sqlite_vec.loadable_path())
      db.enable_load_extension(False)
    with self.transaction():
      db.execute(SCHEMA)

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Errors of SQLite and of the file system, as a line each."""
    apsw, path = self._apsw, str(self._path)
    try:
      yield
    except apsw.NotADBError:
      rule = 'is not a store, or another key encrypted it'
      raise Damaged('store', path, rule) from None
    except apsw.CorruptError:
      rule = 'is damaged; restore it from a backup'
      raise Damaged('store', path, rule) from None
    except (apsw.FullError, apsw.IOError):
      rule = 'cannot be written: the disk is full, or does not answer'
      raise NotSaved('store', path, rule) from None
    except apsw.BusyError:
      rule = f'another process has been writing for {WAIT:.0f} seconds'
      raise NotSaved('store', path, rule) from None
    except (apsw.CantOpenError, apsw.ReadOnlyError, OSError) as error:
      raise ConfigError('store', path, str(error)) from None
