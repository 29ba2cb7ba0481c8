"""Every call leaves a row, without content, in a chain that shows changes."""

import pytest

from memjax.store.audit import Entry
from memjax.store.engine import Engine, Note
from memjax.store.flat import Flat
from memjax.store.records import Range, Record, Where
from tests.store.engines import Clock, records, store


def test_each_call_leaves_a_row(engine: Engine) -> None:
  clock = Clock(10.0)
  opened = store(engine, clock=clock)
  opened.write('a', [Record([1, 0], 'the secret', tags=('tagged',))])
  clock.now = 11.0
  opened.search('a', [[1.0, 0.0]], 3, Range(0, 5))
  opened.read('a', Range(0, 1))
  opened.write('b', [])
  opened.forget('a', Where())
  rows = opened.audit('*')
  assert rows == [
    Entry(0, 10.0, 'tester', 'write', 'a', 0, 1, 1),
    Entry(1, 11.0, 'tester', 'search', 'a', 0, 5, 1),
    Entry(2, 11.0, 'tester', 'read', 'a', 0, 1, 1),
    Entry(3, 11.0, 'tester', 'write', 'b', 0, 0, 0),
    Entry(4, 11.0, 'tester', 'forget', 'a', 0, 1, 1),
  ]
  assert opened.audit('b') == rows[3:4]
  assert opened.audit('*', 3) == rows[3:]
  with engine.transaction(writes=False):
    kept = b''.join(bytes(note.content) for note in engine.notes())
  assert b'secret' not in kept
  assert b'tagged' not in kept
  assert opened.faults('*') == []
  assert opened.head().number == 5


class Editable(Flat):
  """An engine whose audit anybody can change."""

  def edit(self, number: int, note: Note | None) -> None:
    self._notes[number : number + 1] = [note] if note else []


@pytest.mark.parametrize('number', [0, 2, 4])
def test_a_changed_or_removed_row_is_found(number: int) -> None:
  engine = Editable()
  opened = store(engine)
  for _ in range(5):
    opened.write('a', records(1))
  notes = list(engine.notes())
  note = notes[number]
  changes = {
    'changed': note._replace(content=note.content.replace(b'"a"', b'"b"')),
    'was changed': note._replace(tag=bytes(32)),
    'missing': None,
    'is missing': note._replace(number=9),
  }
  for rule, edited in changes.items():
    engine._notes[:] = notes
    engine.edit(number, edited)
    (fault,) = opened.faults('*')
    assert fault.startswith('audit: row')
    assert rule in fault
  engine._notes[:] = [*notes[:number], *notes[:number][-1:], *notes[number:]]
  assert bool(number) == bool(opened.faults('*'))
  engine._notes[:] = notes
  assert opened.faults('*') == []


def test_a_chain_begun_anew_by_one_without_the_key_is_found() -> None:
  engine = Editable()
  opened = store(engine)
  opened.write('a', records(1))
  other = store(Editable())
  other.write('a', records(1))
  engine._notes[:] = list(other._engine.notes())
  assert opened.faults('*') == [
    'audit: row 0 was changed, or one before it removed'
  ]


def test_rows_of_two_histories_do_not_make_one() -> None:
  """After an older copy was put back, rows of before do not fit in."""
  engine = Editable()
  opened = store(engine)
  for space in 'ab':
    opened.write(space, records(1))
  notes, value = list(engine._notes), dict(engine._values)
  for space in 'cd':
    opened.write(space, records(1))
  before = list(engine._notes)
  engine._notes, engine._values = notes, value
  for space in 'ef':
    opened.write(space, records(1))
  assert opened.faults('*') == []
  engine._notes[2] = before[2]
  assert opened.faults('*') == [
    'audit: row 3 was changed, or one before it removed'
  ]


def test_an_older_copy_is_found_by_a_head_kept_elsewhere() -> None:
  engine = Editable()
  opened = store(engine)
  opened.write('a', records(1))
  notes, value = list(engine._notes), dict(engine._values)
  opened.write('a', records(1))
  kept = opened.head()
  engine._notes, engine._values = notes, value
  assert opened.faults('*') == []  # nothing inside shows it
  assert opened.head() != kept
