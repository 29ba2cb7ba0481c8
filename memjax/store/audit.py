"""Who did what, where and when: a chain of rows that cannot be changed unseen.

A row holds subject, action, space, first and last number, count and time, and
nothing of what was written or found. Its tag is

    tag_n = HMAC-SHA256(key, tag_(n-1) || row_n)

so that a changed, removed or added row breaks the chain for all who have the
key of the audit. The newest tag is also kept as a named value of the store:
rows that are cut off the end are missed. Who can put back an older copy of the
whole store is found only by a tag that was written down elsewhere, `Head`.
"""

from collections.abc import Iterable, Iterator
import hashlib
import hmac
import json
from typing import NamedTuple

from memjax.store.engine import Engine, Note
from memjax.store.records import canonical

HEAD = 'audit'
START = bytes(32)


class Entry(NamedTuple):
  """A row of the audit.

  Attributes:
    number: its place, from 0.
    at: seconds since 1970.
    subject: who.
    action: the method that was called.
    space: where; '*': everywhere.
    begin: the first number it was about.
    end: the number after the last.
    records: how many.
  """

  number: int
  at: float
  subject: str
  action: str
  space: str
  begin: int
  end: int
  records: int


class Head(NamedTuple):
  """The end of the chain: how many rows, and the tag of the last."""

  number: int
  tag: bytes


def head_of(engine: Engine) -> Head:
  """The end of an engine's chain."""
  found = engine.value(HEAD) or START
  return Head(int.from_bytes(found[32:], 'big'), found[:32])


def append(
  engine: Engine,
  key: bytes,
  at: float,
  subject: str,
  action: str,
  space: str,
  begin: int,
  end: int,
  count: int,
) -> None:
  """Adds a row, within the transaction that it speaks of."""
  number, last = head_of(engine)
  entry = Entry(number, at, subject, action, space, begin, end, count)
  content = canonical(entry._asdict())
  tag = tag_of(key, last, content)
  engine.note(Note(number, content, tag))
  engine.set_value(HEAD, tag + (number + 1).to_bytes(8, 'big'))


def tag_of(key: bytes, last: bytes, content: bytes) -> bytes:
  """The tag of a row after the row with this tag."""
  return hmac.new(key, last + content, hashlib.sha256).digest()


def entries(notes: Iterable[Note]) -> Iterator[Entry]:
  """The rows of the audit."""
  for note in notes:
    yield Entry(**json.loads(note.content))


def faults(engine: Engine, key: bytes) -> Iterator[str]:
  """The first place where the chain is broken."""
  last, number = START, 0
  for note in engine.notes():
    right = tag_of(key, last, bytes(note.content))
    placed = note.number == number and f'"number":{number},'.encode()
    if not placed or placed not in bytes(note.content):
      yield f'audit: row {number} is missing'
      return
    if not hmac.compare_digest(right, bytes(note.tag)):
      yield f'audit: row {number} was changed, or one before it removed'
      return
    last, number = right, number + 1
  if head_of(engine) != Head(number, last):
    yield f'audit: rows after number {number - 1} are missing'
