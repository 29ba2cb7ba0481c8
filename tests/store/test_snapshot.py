"""A snapshot never changes, and ends when its records are removed."""

from collections.abc import Callable
from pathlib import Path
import shutil

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.store.base import Store
from memjax.store.crypto import VARIABLE, new_master
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.keyring import FileKeyring
from memjax.store.records import Damaged, Range, Record, Where, pack_tokens
from memjax.store.snapshot import PIECE, of_arrays, source_number
from memjax.store.snapshot_files import MANIFEST, open_snapshot
from tests.store.engines import Clock, records, store
from tests.store.test_laws import oracle


@pytest.fixture
def keyring(tmp_path: Path) -> FileKeyring:
  pytest.importorskip('cryptography')
  return FileKeyring(tmp_path / 'keys', new_master())


@pytest.mark.parametrize('metric', ['cosine', 'l2'])
def test_a_snapshot_is_of_a_range_for_ever(
  engine: Engine, metric: str, tmp_path: Path, keyring: FileKeyring
) -> None:
  opened = store(engine, metric=metric, keyring=keyring)
  said = [
    r._replace(value=pack_tokens(i, 2 * i)) for i, r in enumerate(records(30))
  ]
  said[3] = said[3]._replace(value='text')
  said[4] = said[4]._replace(value=pack_tokens(7), source='a page')
  seen = opened.write('a', said)
  opened.write('a', records(5, seed=1))
  taken = opened.save_snapshot('a', seen, tmp_path / 'kept', 'numbers')
  rows = [[i, 2 * i] for i in range(30)]
  rows[3], rows[4] = [-1, -1], [7, -1]
  assert taken.token_NW.tolist() == rows
  assert (taken.source_N > 0).tolist() == [i == 4 for i in range(30)]
  assert taken.key_ND.dtype == np.float16
  keys_ND = np.stack([np.asarray(record.key) for record in said])
  if metric == 'cosine':
    keys_ND /= np.linalg.norm(keys_ND, axis=1, keepdims=True)
  np.testing.assert_allclose(taken.key_ND, keys_ND, atol=2e-3)
  opened.write('a', [Record([9, 9, 9, 9], 'later')])
  again = opened.snapshot('a', seen, 'numbers')
  assert again.fingerprint == taken.fingerprint
  assert opened.snapshot('a', seen).fingerprint != taken.fingerprint
  mapped = open_snapshot(tmp_path / 'kept', keyring)
  assert (mapped.fingerprint, mapped.about) == (taken.fingerprint, 'numbers')
  assert mapped._replace(saved='').fingerprint == taken.fingerprint
  query_QD = np.random.default_rng(4).normal(size=(5, 4))
  hits = mapped.nearest(query_QD, 6)
  expected = oracle(taken.key_ND, query_QD.astype(np.float32), 6, metric)
  assert (hits.seq_QK == expected).mean() > 0.9  # lengths are rounded
  assert opened.audit('a')[-1].action == 'snapshot'
  opened.forget('a', Where(seqs=(0, 1)))
  assert opened.snapshot('a', seen).seq_N.tolist() == list(range(2, 30))
  assert opened.snapshot('none', Range(0, 9)).key_ND.shape == (0, 0)


def test_places_can_be_left_out() -> None:
  key_ND = np.eye(3)[[0, 0, 1]]
  made = of_arrays(key_ND, np.arange(3)[:, None], np.arange(3), '')
  assert made.nearest(key_ND[:1], 4).seq_QK.tolist() == [[0, 1, 2, -1]]
  hits = made.nearest(key_ND[:2], 2, [np.array([0]), np.array([1, 2])])
  assert hits.seq_QK.tolist() == [[1, 2], [0, -1]]


def test_an_answer_does_not_depend_on_company() -> None:
  rng = np.random.default_rng(0)
  key_ND = rng.normal(size=(PIECE + 50, 24))
  key_ND[PIECE:] = key_ND[:50]  # equal scores, in another piece
  nothing = np.zeros(len(key_ND))
  made = of_arrays(key_ND, nothing[:, None], nothing, '')
  query_QD = rng.normal(size=(40, 24))
  whole = made.nearest(query_QD, 5)
  for part in (slice(0, 1), slice(7, 20)):
    alone = made.nearest(query_QD[part], 5)
    np.testing.assert_array_equal(alone.seq_QK, whole.seq_QK[part])
    np.testing.assert_array_equal(alone.score_QK, whole.score_QK[part])
  near = made.nearest(key_ND[:3], 2).seq_QK
  assert near.tolist() == [[i, PIECE + i] for i in range(3)]


REMOVALS: dict[str, Callable[[Store], int]] = {
  'erase': lambda opened: opened.erase('a'),
  'forget': lambda opened: opened.forget('a', Where(seqs=(3,))),
  'keep': lambda opened: opened.keep('a', 'oldest', records=5),
  'expire': lambda opened: opened.expire('a'),
}


@pytest.mark.parametrize('name', REMOVALS)
def test_what_was_removed_does_not_answer_from_a_snapshot(
  name: str, tmp_path: Path, keyring: FileKeyring
) -> None:
  """No copy of it either, nor a process that has it open."""
  clock = Clock(10.0)
  opened = store(Flat(), keyring=keyring, clock=clock)
  said = records(9)
  if name == 'expire':
    said[4] = said[4]._replace(expires=20.0)
  opened.write('a', said)
  opened.write('ab', records(9))
  for space in ('a', 'ab'):
    opened.save_snapshot(space, Range(0, 9), tmp_path / space)
  shutil.copytree(tmp_path / 'a', tmp_path / 'copy')
  other = FileKeyring(tmp_path / 'keys', keyring_master(keyring))
  running = open_snapshot(tmp_path / 'a', other, clock)
  query_QD = np.ones((1, 4))
  assert running.nearest(query_QD, 1).seq_QK[0, 0] >= 0
  assert opened.forget('a', Where(seqs=(99,))) == 0  # nothing is removed
  assert len(running.token_NW[np.array([1])]) == 1
  clock.now = 20.0
  assert REMOVALS[name](opened) > 0
  rule = r'has ended: records were removed .*: store\.save_snapshot'
  for look in (
    lambda: running.nearest(query_QD, 1),
    lambda: running.token_NW[np.array([1])],
    lambda: open_snapshot(tmp_path / 'a', other, clock),
    lambda: open_snapshot(tmp_path / 'copy', other, clock),
  ):
    with pytest.raises(Damaged, match=rule):
      look()
  assert len(open_snapshot(tmp_path / 'ab', other, clock).seq_N) == 9
  if name != 'erase':
    fresh = opened.save_snapshot('a', Range(0, 9), tmp_path / 'new')
    assert 0 < len(fresh.seq_N) < 9
    assert open_snapshot(tmp_path / 'new', other).seq_N[:].tolist()


def keyring_master(keyring: FileKeyring) -> bytes:
  """A new master key of the keyring."""
  master = new_master()
  keyring.rotate(master)
  return master


def test_a_snapshot_ends_when_a_record_expires(
  tmp_path: Path, keyring: FileKeyring
) -> None:
  clock, folder = Clock(10.0), tmp_path / 'kept'
  opened = store(Flat(), keyring=keyring, clock=clock)
  opened.write('a', [Record([1, 0], 'short', 20.0), Record([1, 0], 'long')])
  opened.save_snapshot('a', Range(0, 2), folder, remedy='the command')
  running = open_snapshot(folder, keyring, clock)
  clock.now = 20.0
  with pytest.raises(Damaged, match='has expired; make a new one: the command'):
    running.nearest(np.ones((1, 2)), 1)


def test_files_hold_nothing_in_plain_and_damage_is_found(
  tmp_path: Path, keyring: FileKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
  folder, opened = tmp_path / 'kept', store(Flat(), keyring=keyring)
  said = [r._replace(value=pack_tokens(7, 7, 7, 7)) for r in records(9)]
  opened.write('a', said)
  taken = opened.save_snapshot('a', Range(0, 9), folder)
  with pytest.raises(ConfigError, match='is not empty'):
    opened.save_snapshot('a', Range(0, 9), folder)
  content = b''.join(path.read_bytes() for path in folder.iterdir())
  for column in taken.columns.values():
    assert column[:2].tobytes()[:8] not in content
  path = folder / 'key_ND.sealed'
  whole = path.read_bytes()
  for changed in (whole[:-1], b''):
    path.write_bytes(changed)
    with pytest.raises(Damaged, match='is damaged'):
      open_snapshot(folder, keyring)
  path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
  with pytest.raises(Damaged, match='does not open'):
    open_snapshot(folder, keyring).nearest(np.ones((1, 4)), 1)
  path.write_bytes(whole)
  manifest = folder / MANIFEST
  said_of_it = manifest.read_text()
  manifest.write_text(said_of_it.replace(taken.fingerprint, 'f' * 64))
  with pytest.raises(Damaged, match='does not open'):
    open_snapshot(folder, keyring).nearest(np.ones((1, 4)), 1)
  manifest.write_text(said_of_it[1:])
  with pytest.raises(Damaged, match='is damaged'):
    open_snapshot(folder, keyring)
  manifest.write_text(said_of_it)
  monkeypatch.delenv(VARIABLE, raising=False)
  with pytest.raises(ConfigError, match=r'^store.key'):
    open_snapshot(folder)
  monkeypatch.setenv('MEMJAX_STORE_KEYRING', str(tmp_path / 'none'))
  with pytest.raises(ConfigError, match='needs its keyring'):
    open_snapshot(folder)
  manifest.unlink()
  with pytest.raises(ConfigError, match='No such file'):
    open_snapshot(folder, keyring)


def test_pieces_are_read_where_they_lie(
  tmp_path: Path, keyring: FileKeyring
) -> None:
  """Slices and places across the ends of pieces, against the arrays."""
  folder, count = tmp_path / 'kept', PIECE + 3
  opened = store(Flat(), keyring=keyring)
  opened.write('a', [Record([1.0 + i], pack_tokens(i)) for i in range(count)])
  taken = opened.save_snapshot('a', Range(0, count), folder)
  mapped = open_snapshot(folder, keyring)
  places = np.array([[PIECE + 1, 0], [PIECE - 1, PIECE]])
  for name, column in taken.columns.items():
    np.testing.assert_array_equal(mapped.columns[name][:], column)
    np.testing.assert_array_equal(mapped.columns[name][places], column[places])
  part = mapped.seq_N[PIECE - 2 : PIECE + 1]
  assert part.tolist() == [PIECE - 2, PIECE - 1, PIECE]
  assert source_number(bytes(range(1, 33))) == 0x0807060504030201
