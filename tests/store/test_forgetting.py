"""What goes, what stays, and what nothing can bring back."""

from pathlib import Path
import shutil

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.store.crypto import new_master
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.keyring import FileKeyring
from memjax.store.records import NONE, Damaged, Range, Record, Where, pack_key
from tests.store.engines import KEY, Clock, records, store


def test_what_expires_cannot_be_read_from_that_second_on(
  engine: Engine,
) -> None:
  clock = Clock(10.0)
  opened = store(engine, clock=clock)
  opened.write('a', [Record([1, 0], 'short', 20.0), Record([1, 0], 'long')])
  clock.now = 19.9
  assert opened.expire('a') == 0
  assert len(opened.read('a', Range(0, 2))) == 2
  clock.now = 20.0
  assert [found.value for found in opened.read('a', Range(0, 2))] == ['long']
  hits = opened.search('a', [[1.0, 0.0]], 2, Range(0, 2))
  np.testing.assert_array_equal(hits.seq_QK, [[1, NONE]])
  assert (opened.expire('a'), opened.expire('a')) == (1, 0)
  with engine.transaction(writes=False):
    assert [row.seq for row in engine.rows('a', 0, 9)] == [1]


def test_numbers_are_never_used_again(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', records(5))
  query_QD = np.ones((1, 4), np.float32)
  opened.search('a', query_QD, 1, Range(0, 5))  # arrays are in this process
  assert opened.forget('a', Where(seqs=(3, 4, 99))) == 2
  assert opened.write('a', records(1)) == Range(5, 6)
  hits = opened.search('a', query_QD, 6, Range(0, 6))
  assert sorted(hits.seq_QK[0].tolist()) == [NONE, NONE, 0, 1, 2, 5]
  assert opened.erase('a') == 4
  assert opened.erase('a') == 0
  assert opened.read('a', Range(0, 6)) == []
  assert (opened.search('a', query_QD, 6, Range(0, 6)).seq_QK == NONE).all()
  assert opened.write('a', records(2)) == Range(6, 8)
  assert len(opened.read('a', Range(0, 9))) == 2
  assert opened.faults('*') == []


def test_the_least_read_go_first(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', [Record(key, str(i)) for i, key in enumerate(np.eye(4))])
  for seq, times in ((0, 1), (1, 3), (3, 2)):
    for _ in range(times):
      opened.search('a', np.eye(4)[[seq]], 1, Range(0, 4))
  for _ in range(9):  # an evaluation: the answer is the same, and is no use
    hits = opened.search('a', np.eye(4)[[2]], 1, Range(0, 4), counted=False)
    assert hits.seq_QK.tolist() == [[2]]
  assert opened.keep('a', 'least_read', records=4) == 0
  assert opened.keep('a', 'least_read', records=2) == 2
  assert [found.value for found in opened.read('a', Range(0, 4))] == ['1', '3']
  assert opened.keep('a', 'oldest', records=1) == 1
  assert [found.value for found in opened.read('a', Range(0, 4))] == ['3']


def test_a_budget_of_bytes(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', records(10))
  with engine.transaction(writes=False):
    each = engine.usage('a').bytes_N
  assert opened.keep('a', 'oldest', size=int(each[-4:].sum())) == 6
  assert [f.seq for f in opened.read('a', Range(0, 99))] == [6, 7, 8, 9]
  for bad in ({}, {'records': -1}, {'size': -1, 'records': 2}):
    with pytest.raises(ConfigError, match=r'^store.budget'):
      opened.keep('a', 'oldest', **bad)
  with pytest.raises(ConfigError, match='did you mean oldest'):
    opened.keep('a', 'odest', records=1)


def test_a_search_after_another_process_forgot(tmp_path: Path) -> None:
  """Arrays in this process do not outlive what they were read from."""
  pytest.importorskip('apsw')
  from memjax.store.sqlite import Sqlite

  keyring = FileKeyring(tmp_path / 'keys', new_master())
  one, other = (
    store(Sqlite(tmp_path / 'db', KEY), keyring=keyring) for _ in range(2)
  )
  one.write('a', records(9))
  query_QD = np.ones((1, 4), np.float32)
  before = one.search('a', query_QD, 9, Range(0, 9)).seq_QK[0]
  other.forget('a', Where(seqs=(int(before[0]),)))
  after = one.search('a', query_QD, 9, Range(0, 9)).seq_QK[0]
  np.testing.assert_array_equal(after, [*before[1:], NONE])
  other.erase('a')
  assert (one.search('a', query_QD, 9, Range(0, 9)).seq_QK == NONE).all()
  one.close()
  other.close()


def test_an_erased_space_is_gone_from_files_and_from_backups(
  tmp_path: Path,
) -> None:
  """The decrypted bytes of the file hold nothing of it, and a backup is noise.

  All decrypted pages of the file are searched, those that are free as well.
  """
  apsw = pytest.importorskip('apsw')
  from memjax.store.sqlite import Sqlite

  master, path = new_master(), tmp_path / 'db'
  engine = Sqlite(path, KEY)
  opened = store(engine, keyring=FileKeyring(tmp_path / 'keys', master))
  opened.write('a', records(300))
  opened.write('b', records(300, seed=1))
  opened.search('a', np.ones((1, 4)), 9, Range(0, 300))
  with engine.transaction(writes=False):
    rows = {name: list(engine.rows(name, 0, 300)) for name in 'ab'}
  backup = tmp_path / 'backup'
  engine.scrub()
  shutil.copy(path, backup)

  def parts_in_plain(name: str) -> int:
    database = apsw.Connection(str(path))
    database.pragma('cipher', 'chacha20')
    database.pragma('key', f'raw:{KEY.hex()}')
    content = database.serialize('main')
    database.close()
    assert content.startswith(b'SQLite format 3')
    return sum(
      part[-24:] in content for r in rows[name] for part in (r.key, r.payload)
    )

  assert parts_in_plain('a') == parts_in_plain('b') == 600
  opened.erase('a')
  assert (tmp_path / 'db-wal').stat().st_size == 0
  assert parts_in_plain('a') == 0
  assert parts_in_plain('b') == 600
  opened.close()
  restored = store(
    Sqlite(backup, KEY), keyring=FileKeyring(tmp_path / 'keys', master)
  )
  assert len(restored.read('b', Range(0, 300))) == 300
  with pytest.raises(Damaged, match='no key'):
    restored.read('a', Range(0, 300))
  with pytest.raises(Damaged, match='no key'):
    restored.search('a', np.ones((1, 4)), 9, Range(0, 300))
  restored.close()


def test_a_canary_is_at_chance_after_it_was_erased() -> None:
  """Exposure, log2(candidates) - log2(rank), of a secret in the store.

  Candidates are ranked by how near their keys come to something in the store.
  """
  rng = np.random.default_rng(5)
  candidates, planted = rng.normal(size=(512, 16)), range(0, 512, 8)
  opened = store(Flat())

  def exposure() -> float:
    seen = Range(0, opened.end('canaries'))
    hits = opened.search('canaries', candidates, 1, seen)
    order = np.argsort(-hits.score_QK[:, 0] + 1e-9 * rng.random(512))
    rank = np.argsort(order) + 1
    return float(np.mean(9 - np.log2(rank[list(planted)])))

  said = [Record(candidates[i], str(i)) for i in planted]
  opened.write('canaries', said)
  opened.write('canaries', records(64, width=16))
  assert exposure() > 3.5  # 64 planted share the first 64 ranks
  opened.forget('canaries', Where(seqs=tuple(range(64))))
  chance = np.mean(9 - np.log2(np.arange(1, 513)))
  assert abs(exposure() - chance) < 0.5
  opened.erase('canaries')
  assert abs(exposure() - chance) < 0.5
  assert pack_key(candidates[0]) != b''
