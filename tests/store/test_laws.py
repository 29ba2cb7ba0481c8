"""What every engine promises, behind the same store."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.records import NONE, Hits, Range, Record, Where
from tests.store.engines import Clock, records, store


def oracle(
  keys_ND: np.ndarray, query_QD: np.ndarray, count: int, metric: str
) -> np.ndarray:
  """The numbers of the nearest keys, from loops in float64."""
  found = []
  for q in query_QD.astype(np.float64):
    scores = []
    for seq, k in enumerate(keys_ND.astype(np.float32).astype(np.float64)):
      cosine = q @ k / np.sqrt((q @ q) * (k @ k))
      scores.append(
        (-cosine if metric == 'cosine' else ((q - k) ** 2).sum(), seq)
      )
    found.append([seq for _, seq in sorted(scores)[:count]])
  return np.array(found)


@pytest.mark.parametrize('metric', ['cosine', 'l2'])
def test_the_nearest_are_found(engine: Engine, metric: str) -> None:
  opened, said = store(engine, metric=metric), records(60)
  seen = opened.write('a', said)
  query_QD = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
  hits = opened.search('a', query_QD, 7, seen)
  keys_ND = np.stack([record.key for record in said])
  expected = oracle(keys_ND, query_QD, 7, metric)
  np.testing.assert_array_equal(hits.seq_QK, expected)
  near = keys_ND[hits.seq_QK].astype(np.float32).astype(np.float64)
  difference = near - query_QD[:, None]
  score_QK = -(difference**2).sum(-1)
  if metric == 'cosine':
    lengths = np.linalg.norm(near, axis=-1) * np.linalg.norm(
      query_QD[:, None].astype(np.float64), axis=-1
    )
    score_QK = (near * query_QD[:, None]).sum(-1) / lengths
  np.testing.assert_allclose(hits.score_QK, score_QK, atol=2e-6)


def test_values_come_back_as_written(engine: Engine) -> None:
  opened = store(engine, clock=Clock(1234.5))
  said = [
    Record([1, 0], 'schöner Text\0\n', tags=('b', 'a'), source='a book'),
    Record([0, 1], b'\x00\xff', expires=9e9),
    Record([1, 1], ''),
  ]
  assert opened.write('a', said) == Range(0, 3)
  one, two, three = opened.read('a', Range(0, 3))
  assert (one.value, two.value, three.value) == (said[0].value, b'\x00\xff', '')
  assert (one.seq, one.at, one.tags) == (0, 1234.5, ('a', 'b'))
  assert len(one.source) == 32
  assert one.source != two.source == bytes(32)
  assert (two.seq, two.expires, three.expires) == (1, 9e9, 0.0)


def test_a_range_sees_the_same_for_ever(engine: Engine) -> None:
  """Same carry, same answer: what comes later changes nothing."""
  opened, query_QD = store(engine), np.ones((2, 4), np.float32)
  early = opened.write('a', records(20))
  before = opened.search('a', query_QD, 5, early)
  values = opened.read('a', early)
  opened.write('a', records(20, seed=1))
  opened.write('b', records(9, seed=2))
  assert_same(opened.search('a', query_QD, 5, early), before)
  assert opened.read('a', early) == values
  later = opened.search('a', query_QD, 5, Range(20, 40))
  assert later.seq_QK.min() >= 20
  none = opened.search('a', query_QD, 3, Range(7, 7))
  assert (none.seq_QK == NONE).all()
  assert np.isneginf(none.score_QK).all()


def test_pieces_equal_the_whole(engine: Engine) -> None:
  """Writing in one call or in several gives the same records."""
  whole, said = store(engine), records(12)
  whole.write('whole', said)
  for at in (0, 1, 5, 11):
    ends = {0: 1, 1: 5, 5: 11, 11: 12}
    assert whole.write('pieces', said[at : ends[at]]) == Range(at, ends[at])
  query_QD = np.eye(4, dtype=np.float32)
  for where in (Where(), Where(seqs=(1, 4, 7))):
    one = whole.search('whole', query_QD, 4, Range(0, 12), where)
    assert_same(whole.search('pieces', query_QD, 4, Range(0, 12), where), one)
  first, second = (
    [found.value for found in whole.read(name, Range(0, 12))]
    for name in ('whole', 'pieces')
  )
  assert first == second


def test_spaces_do_not_touch(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', [Record([1, 0], 'of a')])
  opened.write('b', [Record([1, 0, 0], 'of b')])  # another width
  assert [f.value for f in opened.read('b', Range(0, 9))] == ['of b']
  assert (opened.end('a'), opened.end('b'), opened.end('c')) == (1, 1, 0)
  opened.erase('b')
  assert [f.value for f in opened.read('a', Range(0, 9))] == ['of a']
  assert (opened.search('c', [[1.0]], 1, Range(0, 9)).seq_QK == NONE).all()


def test_tags_and_times_restrict(engine: Engine) -> None:
  clock = Clock(100.0)
  opened = store(engine, clock=clock)
  opened.write('a', [Record([1, 0], 'x', tags=('fact', 'long'))])
  clock.now = 200.0
  opened.write('a', [Record([1, 0], 'y', tags=('facts',))])
  opened.write(
    'a', [Record([1, 0], 'z', tags=("' OR 1=1 --".replace(' ', '_'),))]
  )
  asked = {
    'x': Where(tags=('fact',)),
    'xyz': Where(),
    'yz': Where(since=150.0),
    '': Where(tags=('fact', 'facts')),
    'z': Where(tags=("'_OR_1=1_--",)),
    'y': Where(seqs=(1,)),
  }
  asked['x '] = Where(before=200.0)
  for expected, where in asked.items():
    found = [str(f.value) for f in opened.read('a', Range(0, 9), where)]
    assert ''.join(found) == expected.strip()
    hits = opened.search('a', [[1.0, 0.0]], 3, Range(0, 9), where)
    assert (hits.seq_QK != NONE).sum() == len(expected.strip())


def test_equal_scores_are_in_the_order_of_numbers(engine: Engine) -> None:
  opened = store(engine)
  keys = np.repeat([[1.0, 2.0], [2.0, 1.0]], 300, axis=0)
  seen = opened.write('a', [Record(key, '') for key in keys])
  hits = opened.search('a', [[1.0, 2.0], [1.0, 0.0]], 4, seen)
  expected = [[0, 1, 2, 3], [300, 301, 302, 303]]
  np.testing.assert_array_equal(hits.seq_QK, expected)


@pytest.mark.parametrize(('metric', 'far'), [('cosine', 3), ('l2', 3000)])
def test_neighbours_far_from_zero_are_told_apart(
  engine: Engine, metric: str, far: float
) -> None:
  """Where products of float32 round off, the order is that of float64."""
  rng, opened = np.random.default_rng(2), store(engine, metric=metric)
  keys_ND = (far + rng.normal(size=(400, 8))).astype(np.float32)
  keys_ND[::2] *= -1  # no center is near to all
  query_QD = (far + rng.normal(size=(6, 8))).astype(np.float32)
  seen = opened.write('a', [Record(key, '') for key in keys_ND])
  found = opened.search('a', query_QD, 9, seen).seq_QK
  expected = oracle(keys_ND, query_QD, 9, metric)
  np.testing.assert_array_equal(found, expected)


def test_a_refused_write_leaves_nothing(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', records(2))
  bad = [
    [*records(3), Record([1, 2, 3], 'narrow')],
    [Record([1, np.nan, 0, 0], 'not a number')],
    [Record([0, 0, 0, 0], 'no direction')],
    [Record([1, 0, 0, 0], 'tag', tags=('a b',))],
  ]
  for said in bad:
    with pytest.raises(ConfigError, match=r'^store.(key|tags)'):
      opened.write('a', said)
  assert opened.end('a') == len(opened.read('a', Range(0, 99))) == 2
  for query in ([[1.0]], [1.0, 0, 0, 0], [[np.inf, 0, 0, 0]], [[0, 0, 0, 0]]):
    with pytest.raises(ConfigError, match=r'^store.query'):
      opened.search('a', query, 1, Range(0, 2))
  with pytest.raises(ConfigError, match=r'^store.count'):
    opened.search('a', [[1.0, 0, 0, 0]], 0, Range(0, 2))


def test_a_failure_undoes_all_of_a_transaction(engine: Engine) -> None:
  opened = store(engine)
  opened.write('a', records(3))

  class Failed(Exception):
    pass

  with engine.transaction():
    rows = list(engine.rows('a', 0, 3))

  def fail() -> None:
    with engine.transaction():
      engine.put('a', 4, [row._replace(seq=row.seq + 3) for row in rows])
      engine.put('new', 4, rows)
      engine.set_value('name', b'1')
      engine.delete('a', [0])
      raise Failed

  with pytest.raises(Failed):
    fail()
  with engine.transaction(writes=False):
    assert engine.spaces() == ['a']
    assert engine.state('a') == (3, 0, 4)
    assert engine.value('name') is None
    assert list(engine.rows('a', 0, 9)) == rows


def test_another_metric_or_place_of_search_is_refused(engine: Engine) -> None:
  opened = store(engine)
  with pytest.raises(ConfigError, match=r"store.metric.*'cosine'"):
    store(engine, metric='l2')
  with pytest.raises(ConfigError, match=r'store.metric.*unknown'):
    store(engine, metric='dot')
  assert opened.faults('*') == []


@pytest.mark.parametrize('name', ['', 'a*', '*', '#file', 'a\n'])
def test_names_of_spaces_are_checked(name: str) -> None:
  with pytest.raises(ConfigError, match=r'^store.space'):
    store(Flat()).write(name, records(1))


def assert_same(one: Hits, other: Hits) -> None:
  np.testing.assert_array_equal(one.seq_QK, other.seq_QK)
  np.testing.assert_array_equal(one.score_QK, other.score_QK)
