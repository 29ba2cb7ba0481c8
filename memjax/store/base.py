"""The store: safeguards in front of an engine, the same for every engine.

    store = Store(engine, keyring, grant('alice', 'alice', 'read write'))
    seen = store.write('alice', [Record(key, 'The door code is 7391.')])
    hits = store.search('alice', query_QD, 4, seen)

A call is checked against the grant, then it is one transaction of the engine
together with its row in the audit. Keys and values are sealed before they reach
the engine. Records are only added and have numbers, so a reader that names the
range it may see gets the same answer at any time: a carry holds two integers,
`Range`, and stays a pure function. Forgetting alone breaks this, and the audit
says when.
"""

from collections.abc import Callable, Sequence
import functools
from pathlib import Path
import secrets
import time
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from memjax.errors import nearest, require
from memjax.store import audit as chain
from memjax.store import forgetting
from memjax.store.engine import Engine
from memjax.store.grants import ALL, Grant, sign
from memjax.store.index import METRICS
from memjax.store.keyring import OF_AUDIT, OF_GRANTS, OF_SNAPSHOT, Keyring
from memjax.store.mask import Mask
from memjax.store.records import (
  ANY,
  NONE,
  Found,
  Hits,
  Range,
  Record,
  Where,
  join_tags,
  pack_key,
)
from memjax.store.sealed import SealedRows
from memjax.store.snapshot import Snapshot
from memjax.store.snapshot_files import Seal, save_snapshot

P = ParamSpec('P')
R = TypeVar('R')
Call = Callable[Concatenate['Store', str, P], R]


def granted(
  action: str, everywhere: bool = False
) -> Callable[[Call[P, R]], Call[P, R]]:
  """The one place where calls meet the grant: before anything else.

  Args:
    action: of `grants.ACTIONS`.
    everywhere: whether '*' may stand for all spaces.
  """

  def wrap(call: Call[P, R]) -> Call[P, R]:
    @functools.wraps(call)
    def checked(
      self: 'Store', space: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
      self.grant.check(action, space, self.clock())
      named = bool(space) and space.isprintable() and not {*'#*?[]'} & {*space}
      rule = 'must be a printable name without any of # * ? [ ]'
      require(
        named or (everywhere and space == ALL), 'store.space', space, rule
      )
      return call(self, space, *args, **kwargs)

    return checked

  return wrap


class Store:
  """What one subject can do with an engine.

  Attributes:
    grant: what the subject may do.
    clock: the time, in seconds since 1970.
    mask: what replaces personal data in text before it is written; None: none.
  """

  def __init__(
    self,
    engine: Engine,
    keyring: Keyring,
    grant: Grant,
    *,
    metric: str = 'cosine',
    mask: Mask | None = None,
    clock: Callable[[], float] = time.time,
  ):
    """Opens a store; the first one to do so decides its metric.

    Raises:
      ConfigError: the metric is unknown or another than the store's, or the
        engine searches and did not before.
    """
    rule = f'unknown; {nearest(metric, METRICS)}'
    require(metric in METRICS, 'store.metric', metric, rule)
    self._engine, self._keyring, self._metric = engine, keyring, metric
    self.grant, self.mask, self.clock = grant, mask, clock
    self._rows = SealedRows(engine, keyring, metric)
    self._audit_key = keyring.secret(OF_AUDIT)
    keys = 'searched' if engine.searches else 'sealed'
    with engine.transaction():
      for name, chosen in (('metric', metric), ('keys', keys)):
        found = (engine.value(name) or b'').decode()
        rule = f'the store was made with {found!r}'
        require(found in ('', chosen), f'store.{name}', chosen, rule)
        if not found:
          engine.set_value(name, chosen.encode())

  @granted('write')
  def write(self, space: str, records: Sequence[Record]) -> Range:
    """Adds records; when it returns they are there, all of them.

    Raises:
      ConfigError: a key has another width than those before, a value cannot be
        kept, or the engine cannot write: then none of them is there.
    """
    now = self.clock()
    widths = [self._checked_width(record) for record in records]
    masked = [self._masked(record) for record in records]
    with self._engine.transaction():
      begin, _, width = self._engine.state(space)
      for own in widths:
        width = width or own
        rule = f'must have {width} numbers, as those of the other records'
        require(own == width, 'store.key', own, rule)
      rows = self._rows.seal(space, begin, now, masked)
      seen = Range(begin, begin + len(rows))
      if rows:
        self._engine.put(space, width, rows)
      self._note(now, 'write', space, seen, len(rows))
    return seen

  @granted('read')
  def end(self, space: str) -> int:
    """The number of the next record: a range up to it sees all there are."""
    with self._engine.transaction(writes=False):
      return self._engine.state(space).end

  @granted('read')
  def search(
    self,
    space: str,
    queries: ArrayLike,
    count: int,
    seen: Range,
    where: Where = ANY,
    counted: bool = True,
  ) -> Hits:
    """The records of a range that are nearest to each of `(Q, D)` queries.

    Args:
      space: where the records are.
      queries: `(Q, D)`.
      count: K, of records that each query finds.
      seen: the range.
      where: which records of it.
      counted: whether `keep` with 'least_read' counts what is found as read.

    Raises:
      ConfigError: the queries have another width than the records, or a number
        is out of range.
    """
    query_QD, now = np.asarray(queries, np.float32), self.clock()
    require(count >= 1, 'store.count', count, 'must be at least 1')
    two = query_QD.ndim == 2 and bool(np.isfinite(query_QD).all())
    rule = 'must be (Q, D) finite numbers'
    require(two, 'store.query', query_QD.shape, rule)
    rule = "must not be 0 where the metric is 'cosine'"
    long = self._metric != 'cosine' or bool(query_QD.any(1).all())
    require(long, 'store.query', 0, rule)
    with self._engine.transaction():
      width = self._engine.state(space).width
      rule = f'queries must have {width} numbers, as the records have'
      fits = width in (0, query_QD.shape[1])
      require(fits, 'store.query', query_QD.shape[1], rule)
      hits = self._rows.nearest(space, query_QD, count, seen, now, where)
      found = np.unique(hits.seq_QK[hits.seq_QK != NONE])
      if counted:
        self._engine.touch(space, found.tolist())
      self._note(now, 'search', space, seen, len(found))
    return hits

  @granted('read')
  def read(self, space: str, seen: Range, where: Where = ANY) -> list[Found]:
    """The records of a range, with their values.

    Raises:
      Damaged: a value was changed or moved.
    """
    now = self.clock()
    with self._engine.transaction():
      found = list(self._rows.read(space, seen, where, now))
      self._note(now, 'read', space, seen, len(found))
    return found

  @granted('read')
  def snapshot(self, space: str, seen: Range, about: str = '') -> Snapshot:
    """The records of a range as arrays; see `snapshot.py`."""
    return self._snapshot(space, seen, about)[0]

  @granted('read')
  def save_snapshot(
    self,
    space: str,
    seen: Range,
    folder: str | Path,
    about: str = '',
    remedy: str = '',
  ) -> Snapshot:
    """The same in the files of a folder; see `snapshot_files.py`.

    Args:
      space: where the records are.
      seen: which of them.
      folder: new or empty.
      about: what keys and values are; a reader may ask for it.
      remedy: how a new one is made, once this one has ended.

    Raises:
      ConfigError: the folder holds files, or cannot be written.
    """
    name = f'{space}{OF_SNAPSHOT}{secrets.token_hex(8)}'
    cipher = self._keyring.cipher(name, create=True)  # before records are read
    assert cipher is not None
    found, until = self._snapshot(space, seen, about)
    remedy = remedy or f'store.save_snapshot({space!r}, seen, FOLDER)'
    seal = Seal(name, self._keyring.place, until, remedy)
    save_snapshot(found, Path(folder), cipher, seal)
    return found

  @granted('forget')
  def forget(self, space: str, where: Where) -> int:
    """Removes the records that fit; their number."""
    return self._remove(space, 'forget', lambda: self._fitting(space, where))

  @granted('forget')
  def expire(self, space: str) -> int:
    """Removes the records whose time is over; their number."""
    return self._remove(
      space,
      'expire',
      lambda: forgetting.expired(self._engine.usage(space), self.clock()),
    )

  @granted('forget')
  def keep(
    self, space: str, order: str, records: int = 0, size: int = 0
  ) -> int:
    """Removes what is beyond a budget; see `forgetting.beyond`."""
    budget = order, records, size
    return self._remove(
      space,
      'keep',
      lambda: forgetting.beyond(self._engine.usage(space), *budget),
    )

  @granted('admin')
  def erase(self, space: str) -> int:
    """Removes all records of a space for good; their number.

    Their bytes are gone from the engine's files, and the keys of the space and
    of its snapshots are destroyed, so that backups without the keyring are
    noise. The numbers go on: a range that pointed there is empty.
    """
    count = self._remove(
      space, 'erase', lambda: self._engine.usage(space).seq_N
    )
    self._rows.forget_arrays(space)
    self._keyring.destroy_snapshots(space)
    self._keyring.destroy(space)
    return count

  @granted('admin', everywhere=True)
  def audit(self, space: str, since: int = 0) -> list[chain.Entry]:
    """What was done in a space, or with '*' in all of them."""
    with self._engine.transaction(writes=False):
      rows = list(chain.entries(self._engine.notes(since)))
    return [row for row in rows if space in (ALL, row.space)]

  @granted('admin', everywhere=True)
  def faults(self, space: str) -> list[str]:
    """What is wrong with a space, or with '*' with all and the audit.

    Every record is opened: a byte that was changed, a row that was moved, a row
    of the audit that was removed.
    """
    with self._engine.transaction(writes=False):
      if space != ALL:
        return list(self._rows.faults(space))
      found = list(self._engine.faults())
      for name in self._engine.spaces():
        found += self._rows.faults(name)
      return found + list(chain.faults(self._engine, self._audit_key))

  def head(self) -> chain.Head:
    """The end of the audit, to be kept elsewhere."""
    self.grant.check('admin', ALL, self.clock())
    with self._engine.transaction(writes=False):
      return chain.head_of(self._engine)

  def token(self, granted_to: Grant) -> str:
    """A signed grant for another process."""
    self.grant.check('admin', ALL, self.clock())
    return sign(granted_to, self._keyring.secret(OF_GRANTS))

  def close(self) -> None:
    """Gives files and connections back."""
    self._engine.close()

  def __enter__(self) -> 'Store':
    return self

  def __exit__(self, *error: Any) -> None:
    self.close()

  def _checked_width(self, record: Record) -> int:
    join_tags(record.tags)
    rule = "must not be 0 where the metric is 'cosine'"
    long = self._metric != 'cosine' or bool(np.any(record.key))
    require(long, 'store.key', 0, rule)
    return len(pack_key(record.key)) // 4

  def _masked(self, record: Record) -> Record:
    value = record.value
    if self.mask is None or isinstance(value, bytes):
      return record
    return record._replace(value=self.mask(value))

  def _fitting(self, space: str, where: Where) -> np.ndarray:
    end = self._engine.state(space).end
    rows = self._engine.rows(space, 0, end, where)
    return np.array([row.seq for row in rows], np.int64)

  def _snapshot(
    self, space: str, seen: Range, about: str
  ) -> tuple[Snapshot, float]:
    now = self.clock()
    with self._engine.transaction():
      found = self._rows.snapshot(space, seen, now, about)
      self._note(now, 'snapshot', space, seen, len(found[0].seq_N))
    return found

  def _remove(
    self, space: str, action: str, choose: Callable[[], np.ndarray]
  ) -> int:
    with self._engine.transaction():
      seqs = choose()
      if len(seqs):
        self._keyring.destroy_snapshots(space)
      count = self._engine.delete(space, seqs.tolist())
      ends = (int(seqs.min()), int(seqs.max()) + 1) if len(seqs) else (0, 0)
      self._note(self.clock(), action, space, Range(*ends), count)
    self._engine.scrub()
    return count

  def _note(
    self, now: float, action: str, space: str, seen: Range, count: int
  ) -> None:
    said = now, self.grant.subject, action, space, *seen, count
    chain.append(self._engine, self._audit_key, *said)
