"""The contract of every engine: where rows lie, and nothing else.

Grants, sealing, masking and the audit are of `base.Store`, in front of every
engine. An engine keeps rows, changes them in transactions that hold whole or
not at all, and has lost nothing after `kill -9` once a transaction has ended.
"""

import abc
from collections.abc import Iterator, Sequence
import contextlib
from typing import NamedTuple

import numpy as np

from memjax.store.records import ANY, Hits, Where


class Row(NamedTuple):
  """A record as an engine keeps it.

  Attributes:
    seq: its number in its space.
    at: seconds since 1970 when it was written.
    expires: seconds since 1970; 0: never.
    tags: ' a b ', sorted; '' if there are none.
    key: float32 bytes; sealed, unless the engine searches itself.
    payload: sealed kind, source and value.
  """

  seq: int
  at: float
  expires: float
  tags: str
  key: bytes
  payload: bytes


class State(NamedTuple):
  """How far a space has come.

  Attributes:
    end: the number of the next record.
    epoch: how many times records were removed.
    width: D, of its keys; 0 before the first record.
  """

  end: int
  epoch: int
  width: int


EMPTY = State(0, 0, 0)


class Usage(NamedTuple):
  """What forgetting asks of the records of a space, a row each.

  Attributes:
    seq_N: int64 numbers, ascending.
    at_N: when written.
    expires_N: when it expires; 0: never.
    reads_N: how many times it was found.
    bytes_N: of key and payload.
  """

  seq_N: np.ndarray
  at_N: np.ndarray
  expires_N: np.ndarray
  reads_N: np.ndarray
  bytes_N: np.ndarray


class Note(NamedTuple):
  """A row of the audit, see `audit.py`."""

  number: int
  content: bytes
  tag: bytes


class Engine(abc.ABC):
  """Rows by space and number, a few named values, and notes.

  Every method but `scrub` and `close` is called inside of `transaction`.

  Attributes:
    searches: whether it finds neighbours itself, and so must see the keys.
  """

  searches: bool = False

  @abc.abstractmethod
  def transaction(
    self, writes: bool = True
  ) -> contextlib.AbstractContextManager:
    """All within holds, durably, or nothing does. Writers wait for each other.

    Raises:
      ConfigError: the disk is full, the file is damaged, the server is gone, or
        another writer took too long.
    """

  @abc.abstractmethod
  def state(self, space: str) -> State:
    """How far a space has come; `EMPTY` if there is none of that name."""

  @abc.abstractmethod
  def spaces(self) -> list[str]:
    """The names of all spaces, sorted."""

  @abc.abstractmethod
  def put(self, space: str, width: int, rows: Sequence[Row]) -> None:
    """Adds rows whose numbers go on from the end; creates the space."""

  @abc.abstractmethod
  def rows(
    self, space: str, begin: int, end: int, where: Where = ANY
  ) -> Iterator[Row]:
    """The rows of a range in the order of their numbers."""

  @abc.abstractmethod
  def keys(
    self, space: str, begin: int, end: int
  ) -> Iterator[tuple[int, float, float, str, bytes]]:
    """The rows of a range without their payloads."""

  @abc.abstractmethod
  def usage(self, space: str) -> Usage:
    """What forgetting asks of a space's records."""

  @abc.abstractmethod
  def touch(self, space: str, seqs: Sequence[int]) -> None:
    """Counts one read of each of these records."""

  @abc.abstractmethod
  def delete(self, space: str, seqs: Sequence[int]) -> int:
    """Removes records; the number of those that were there. A new epoch."""

  @abc.abstractmethod
  def value(self, name: str) -> bytes | None:
    """A named value."""

  @abc.abstractmethod
  def set_value(self, name: str, content: bytes) -> None:
    """Writes a named value."""

  @abc.abstractmethod
  def note(self, note: Note) -> None:
    """Adds a row to the audit."""

  @abc.abstractmethod
  def notes(self, since: int = 0) -> Iterator[Note]:
    """The audit from this number on."""

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
    """The search of an engine that `searches`."""
    raise NotImplementedError

  @abc.abstractmethod
  def scrub(self) -> None:
    """Leaves no byte of removed rows in files; not within a transaction."""

  def faults(self) -> Iterator[str]:
    """What the engine's own check of its files finds."""
    yield from ()

  @abc.abstractmethod
  def close(self) -> None:
    """Gives files and connections back."""
