"""Rows in the memory of one process: exact, simple, gone with the process.

It serves notebooks and experiments, and other engines are compared with it.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import threading

import numpy as np

from memjax.store.engine import EMPTY, Engine, Note, Row, State, Usage
from memjax.store.records import ANY, Where


class Flat(Engine):
  """Dictionaries, and a list of what undoes the transaction in progress."""

  def __init__(self) -> None:
    self._lock = threading.RLock()
    self._states: dict[str, State] = {}
    self._rows: dict[str, dict[int, Row]] = {}
    self._reads: dict[str, dict[int, int]] = {}
    self._values: dict[str, bytes] = {}
    self._notes: list[Note] = []
    self._undo: list[Callable[[], object]] = []

  @contextlib.contextmanager
  def transaction(self, writes: bool = True) -> Iterator[None]:
    with self._lock:
      self._undo.clear()
      try:
        yield
      except BaseException:
        while self._undo:
          self._undo.pop()()
        raise

  def state(self, space: str) -> State:
    return self._states.get(space, EMPTY)

  def spaces(self) -> list[str]:
    return sorted(self._states)

  def put(self, space: str, width: int, rows: Sequence[Row]) -> None:
    before, held = self.state(space), self._rows.setdefault(space, {})
    self._undo.append(lambda: self._set_state(space, before))
    for row in rows:
      held[row.seq] = row
      self._undo.append(functools.partial(held.pop, row.seq))
    end = before.end + len(rows)
    self._set_state(space, State(end, before.epoch, width))

  def rows(
    self, space: str, begin: int, end: int, where: Where = ANY
  ) -> Iterator[Row]:
    held = self._rows.get(space, {})
    whole = range(max(begin, 0), min(end, self.state(space).end))
    for seq in whole if where.seqs is None else sorted({*where.seqs}):
      row = held.get(seq)
      if row and begin <= seq < end and matches(row.at, row.tags, where):
        yield row

  def keys(
    self, space: str, begin: int, end: int
  ) -> Iterator[tuple[int, float, float, str, bytes]]:
    for row in self.rows(space, begin, end):
      yield row[:5]

  def usage(self, space: str) -> Usage:
    rows = list(self.rows(space, 0, self.state(space).end))
    reads = self._reads.get(space, {})
    return Usage(
      np.array([r.seq for r in rows], np.int64),
      np.array([r.at for r in rows]),
      np.array([r.expires for r in rows]),
      np.array([reads.get(r.seq, 0) for r in rows], np.int64),
      np.array([len(r.key) + len(r.payload) for r in rows], np.int64),
    )

  def touch(self, space: str, seqs: Sequence[int]) -> None:
    reads = self._reads.setdefault(space, {})
    for seq in seqs:
      reads[seq] = reads.get(seq, 0) + 1

  def delete(self, space: str, seqs: Sequence[int]) -> int:
    held, before = self._rows.get(space, {}), self.state(space)
    gone = [held.pop(seq) for seq in seqs if seq in held]
    self._undo.append(lambda: held.update((row.seq, row) for row in gone))
    if gone:
      self._undo.append(lambda: self._set_state(space, before))
      self._set_state(space, before._replace(epoch=before.epoch + 1))
    return len(gone)

  def value(self, name: str) -> bytes | None:
    return self._values.get(name)

  def set_value(self, name: str, content: bytes) -> None:
    before = dict(self._values)
    self._undo.append(lambda: setattr(self, '_values', before))
    self._values = before | {name: content}

  def note(self, note: Note) -> None:
    self._notes.append(note)
    self._undo.append(self._notes.pop)

  def notes(self, since: int = 0) -> Iterator[Note]:
    yield from (note for note in self._notes if note.number >= since)

  def scrub(self) -> None:
    """There are no files."""

  def close(self) -> None:
    """Nothing is open."""

  def _set_state(self, space: str, state: State) -> None:
    if state == EMPTY:
      self._states.pop(space, None)
    else:
      self._states[space] = state


def matches(at: float, tags: str, where: Where) -> bool:
  """Whether a row's time and tags are those asked for."""
  timely = where.since <= at and (not where.before or at < where.before)
  return timely and all(f' {tag} ' in tags for tag in where.tags)
