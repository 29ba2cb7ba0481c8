"""Rows on a PostgreSQL server: the engine of many machines.

Values are sealed before they are sent, and keys too, unless the server
searches. It then has them as `vector` if the extension pgvector is installed,
and as `real[]` else; both are searched exactly. Row-level security repeats the
grants: a role sees the rows of the spaces that `allow` gave it, whatever SQL it
sends.
"""

from collections.abc import Iterator, Sequence
import contextlib
import threading
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from memjax.errors import ConfigError, NotSaved, require
from memjax.store.engine import EMPTY, Engine, Note, Row, State, Usage
from memjax.store.grants import Denied, Grant
from memjax.store.records import ANY, Hits, Where
from memjax.store.server_schema import (
  DISTANCES,
  KEY_TYPE,
  allow,
  create,
)
from memjax.store.sql import Dialect, hits_of, usage_of

LOCK = 0x6D656D6A6178  # of writers: one at a time, as the audit is one chain
FETCHED = 2048  # rows at once
OF_SPACE = 'space = (SELECT id FROM spaces WHERE name = %s)'
IN_RANGE = f'{OF_SPACE} AND seq >= %s AND seq < %s'
DIALECT = Dialect('%s', 'strpos(tags, %s) > 0', 'seq = ANY(%s)', list)


class Server(Engine):
  """One connection to a server, made again after it broke."""

  def __init__(self, address: str, searches: bool = False):
    """Connects, and creates tables as their owner.

    Args:
      address: `postgresql://USER@HOST/DATABASE`; a password belongs into
        PGPASSWORD or PGPASSFILE, not into an address that a command shows.
      searches: the server searches, and sees the keys.

    Raises:
      ConfigError: a package is missing, the address holds a password, or the
        server does not answer.
    """
    try:
      import psycopg
    except ModuleNotFoundError:
      rule = "needs a package: pip install 'memjax[server]'"
      raise ConfigError('store', 'psycopg', rule) from None
    parts = urlsplit(address)
    rule = 'must hold no password: set PGPASSWORD or PGPASSFILE'
    require(parts.password is None, 'store', '(hidden)', rule)
    self._psycopg, self._address, self.searches = psycopg, address, searches
    self._lock = threading.RLock()
    self._open: Any = None
    with self.transaction():
      self._key_type = self._prepare()

  @contextlib.contextmanager
  def transaction(self, writes: bool = True) -> Iterator[None]:
    with self._lock, self._explained():
      if self._open is None or self._open.closed:
        self._open = self._psycopg.connect(self._address, autocommit=True)
      with self._open.transaction():
        if writes:
          self._open.execute('SELECT pg_advisory_xact_lock(%s)', (LOCK,))
        yield

  def allow(self, role: str, granted: Grant) -> None:
    """Gives a role of the server what a grant says, and no more.

    Only the owner of the tables can; it is bound by no such rule itself.

    Raises:
      ConfigError: the pattern has parts other than * and ?.
    """
    with self.transaction():
      allow(self._open, role, granted)

  def state(self, space: str) -> State:
    sql = 'SELECT "end", epoch, width FROM spaces WHERE name = %s'
    found = self._open.execute(sql, (space,)).fetchone()
    return State(*found) if found else EMPTY

  def spaces(self) -> list[str]:
    sql = 'SELECT name FROM spaces ORDER BY name COLLATE "C"'
    return [name for (name,) in self._open.execute(sql)]

  def put(self, space: str, width: int, rows: Sequence[Row]) -> None:
    self._open.execute(
      'INSERT INTO spaces(name, "end", epoch, width) VALUES(%s, 0, 0, %s) '
      'ON CONFLICT(name) DO NOTHING',
      (space, width),
    )
    sql = 'UPDATE spaces SET "end" = %s WHERE name = %s RETURNING id'
    end = rows[-1].seq + 1
    number = self._open.execute(sql, (end, space)).fetchone()[0]
    kept = [(number, *row[:4], self._as_kept(row.key), row[5]) for row in rows]
    sql = 'INSERT INTO records VALUES(%s, %s, %s, %s, %s, %s, %s)'
    with self._open.cursor() as cursor:
      cursor.executemany(sql, kept)

  def rows(
    self, space: str, begin: int, end: int, where: Where = ANY
  ) -> Iterator[Row]:
    condition, values = DIALECT.restrict(where)
    sql = f'SELECT seq, at, expires, tags, {self._key}, payload FROM records '
    sql += f'WHERE {IN_RANGE}{condition} ORDER BY seq'
    for *first, key, payload in self._each(sql, (space, begin, end, *values)):
      yield Row._make((*first, self._as_read(key), payload))

  def keys(
    self, space: str, begin: int, end: int
  ) -> Iterator[tuple[int, float, float, str, bytes]]:
    sql = f'SELECT seq, at, expires, tags, {self._key} FROM records '
    sql += f'WHERE {IN_RANGE} ORDER BY seq'
    for *first, key in self._each(sql, (space, begin, end)):
      yield (*first, self._as_read(key))

  def usage(self, space: str) -> Usage:
    size = 'pg_column_size(key) + length(payload)'
    sql = (
      f'SELECT seq, at, expires, coalesce(count, 0), {size} FROM records '
      f'LEFT JOIN reads USING(space, seq) WHERE {OF_SPACE} ORDER BY seq'
    )
    return usage_of(self._open.execute(sql, (space,)).fetchall())

  def touch(self, space: str, seqs: Sequence[int]) -> None:
    self._open.execute(
      'INSERT INTO reads SELECT id, s, 1 FROM spaces, unnest(%s::bigint[]) s '
      'WHERE name = %s ON CONFLICT(space, seq) DO UPDATE '
      'SET count = reads.count + 1',
      (list(seqs), space),
    )

  def delete(self, space: str, seqs: Sequence[int]) -> int:
    chosen = space, list(seqs)
    for table in ('reads', 'records'):
      sql = f'DELETE FROM {table} WHERE {OF_SPACE} AND seq = ANY(%s)'
      count = self._open.execute(sql, chosen).rowcount
    if count:
      sql = 'UPDATE spaces SET epoch = epoch + 1 WHERE name = %s'
      self._open.execute(sql, (space,))
    return count

  def value(self, name: str) -> bytes | None:
    sql = 'SELECT content FROM named WHERE name = %s'
    found = self._open.execute(sql, (name,)).fetchone()
    return found[0] if found else None

  def set_value(self, name: str, content: bytes) -> None:
    self._open.execute(
      'INSERT INTO named VALUES(%s, %s) ON CONFLICT(name) DO UPDATE '
      'SET content = excluded.content',
      (name, content),
    )

  def note(self, note: Note) -> None:
    self._open.execute('INSERT INTO notes VALUES(%s, %s, %s)', note)

  def notes(self, since: int = 0) -> Iterator[Note]:
    sql = 'SELECT number, content, tag FROM notes WHERE number >= %s ORDER BY 1'
    yield from (Note(*row) for row in self._each(sql, (since,)))

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
    far = DISTANCES[self._key_type, metric]
    sql = f'SELECT seq, {far} AS far FROM records WHERE {IN_RANGE} AND '
    sql += (
      f'(expires = 0 OR expires > %s){condition} ORDER BY far, seq LIMIT %s'
    )
    chosen = (space, *seen, now, *values, count)
    found = [
      self._open.execute(sql, (query_D.tolist(), *chosen)).fetchall()
      for query_D in query_QD
    ]
    return hits_of(found, count, metric)

  def scrub(self) -> None:
    with self._lock, self._explained():
      if self._open and not self._open.closed:
        self._open.execute('VACUUM records')

  def close(self) -> None:
    if self._open is not None:
      self._open.close()

  @property
  def _key(self) -> str:
    return 'key::real[]' if self._key_type == 'vector' else 'key'

  def _as_kept(self, key: bytes) -> Any:
    if self._key_type == 'bytea':
      return key
    numbers = np.frombuffer(key, '<f4').tolist()
    return str(numbers) if self._key_type == 'vector' else numbers

  def _as_read(self, key: Any) -> bytes:
    return key if isinstance(key, bytes) else np.array(key, '<f4').tobytes()

  def _each(self, sql: str, values: tuple[Any, ...]) -> Iterator[Any]:
    with self._open.cursor(name='each') as cursor:
      cursor.itersize = FETCHED
      yield from cursor.execute(sql, values)

  def _prepare(self) -> str:
    """The type of keys, in tables that are new or were there."""
    found = self._open.execute(KEY_TYPE).fetchone()
    return found[0] if found else create(self._open, self.searches)

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Errors of the server, as a line each."""
    errors = self._psycopg.errors
    try:
      yield
    except errors.InsufficientPrivilege:
      raise Denied('store', self._shown, 'the server denies it') from None
    except (errors.DiskFull, errors.OutOfMemory) as error:
      raise NotSaved('store', self._shown, first_line(error)) from None
    except self._psycopg.OperationalError as error:
      rule = f'the server does not answer: {first_line(error)}'
      raise NotSaved('store', self._shown, rule) from None

  @property
  def _shown(self) -> str:
    parts = urlsplit(self._address)
    return f'{parts.hostname or "local"}{parts.path}'


def first_line(error: Exception) -> str:
  """An error's first line, without a full stop."""
  return (str(error).strip().splitlines() or [''])[0].rstrip('.')
