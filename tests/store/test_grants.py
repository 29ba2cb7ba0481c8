"""Who may do what: in one place, before everything, on every call."""

import inspect
import random
import tempfile

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.store.base import Store
from memjax.store.crypto import new_master
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.grants import Denied, Grant, grant, read_token, sign
from memjax.store.keyring import Keyring
from memjax.store.records import NONE, Range, Record, Where
from tests.store.engines import ALL_RIGHTS, Clock, records, store

pytest.importorskip('cryptography')

SPACES = ('alice', 'bob', 'team-1', 'team-2')
ANSWERS = {
  'write': lambda s, space: s.write(space, records(2)),
  'end': lambda s, space: s.end(space),
  'search': lambda s, space: s.search(space, np.eye(4), 9, Range(0, 99)),
  'read': lambda s, space: s.read(space, Range(0, 99)),
  'snapshot': lambda s, space: s.snapshot(space, Range(0, 99)),
  'save_snapshot': lambda s, space: s.save_snapshot(
    space, Range(0, 99), tempfile.mkdtemp()
  ),
  'forget': lambda s, space: s.forget(space, Where(seqs=(0,))),
  'expire': lambda s, space: s.expire(space),
  'keep': lambda s, space: s.keep(space, 'oldest', records=50),
  'erase': lambda s, space: s.erase(space),
  'audit': lambda s, space: s.audit(space),
  'faults': lambda s, space: s.faults(space),
  'head': lambda s, space: s.head(),
  'token': lambda s, space: s.token(ALL_RIGHTS),
}
NEEDS = {
  'write': 'write',
  'forget': 'forget',
  'expire': 'forget',
  'keep': 'forget',
  'end': 'read',
  'search': 'read',
  'read': 'read',
  'snapshot': 'read',
  'save_snapshot': 'read',
}


def test_every_call_asks_for_a_grant() -> None:
  """A new method of the store cannot forget to ask."""
  public = {
    name
    for name, member in inspect.getmembers(Store, inspect.isfunction)
    if not name.startswith('_')
  }
  assert public - {'close'} == ANSWERS.keys()
  nobody = store(Flat(), Grant('nobody', '*', frozenset()))
  for call in ANSWERS.values():
    with pytest.raises(Denied):
      call(nobody, 'alice')


def test_no_sequence_of_calls_shows_another_space(engine: Engine) -> None:
  """Random subjects make random calls; a model of the rules says what may be.

  Every value holds the name of its space, and each subject's answers are
  searched for the names of spaces that it has no grant for.
  """
  rng, keyring, clock = random.Random(3), Keyring(new_master()), Clock()
  grants = [
    ALL_RIGHTS,
    grant('alice', 'alice', 'read write'),
    grant('team', 'team-?', 'read forget'),
    grant('keeper', 'bob', 'forget admin'),
    grant('past', 'bob', 'read write', until=clock.now - 1),
    grant('reader', 'team-2', 'read'),
  ]
  stores = [store(engine, g, keyring, clock=clock) for g in grants]
  for space in SPACES:
    stores[0].write(space, [Record([1, 0, 0, 0], f'secret of {space}')])
  seen = {'allowed': 0, 'denied': 0}
  for _ in range(300):
    number, space = rng.randrange(len(stores)), rng.choice(SPACES)
    name = rng.choice([n for n in ANSWERS if n not in ('erase', 'token')])
    granted = grants[number]
    whole = granted.spaces == '*' or name != 'head'
    allowed = (
      granted.covers(space)
      and NEEDS.get(name, 'admin') in granted.actions
      and not granted.until
      and whole
    )
    seen['allowed' if allowed else 'denied'] += 1
    try:
      answer = repr(ANSWERS[name](stores[number], space))
      assert allowed, (granted, name, space)
    except Denied as error:
      assert not allowed, (granted, name, space)
      answer = str(error)
    for other in SPACES:
      if other != space and name != 'head':
        assert other not in answer.replace(granted.subject, '')
  assert min(seen.values()) > 60


def test_a_denial_tells_nothing_of_the_space() -> None:
  """The same words for a space with records and for one that never was."""
  engine, keyring = Flat(), Keyring(new_master())
  store(engine, keyring=keyring).write('bob', records(3))
  alice = store(engine, grant('alice', 'alice', 'read write forget'), keyring)
  for name, call in ANSWERS.items():
    if name in ('head', 'token'):
      continue
    said = set()
    for space in ('bob', 'nix'):
      with pytest.raises(Denied) as denied:
        call(alice, space)
      said.add(str(denied.value).replace(space, 'SPACE'))
    if NEEDS.get(name) in alice.grant.actions or NEEDS.get(name) is None:
      assert len(said) == 1
  assert [row.subject for row in store(engine, keyring=keyring).audit('*')] == [
    'tester'
  ]


def test_a_grant_ends() -> None:
  clock = Clock(99.0)
  opened = store(Flat(), grant('a', 'a', 'read', until=100.0), clock=clock)
  assert opened.end('a') == 0
  clock.now = 100.0
  with pytest.raises(Denied, match='has ended'):
    opened.end('a')


def test_a_token_is_a_grant_that_only_the_store_can_sign() -> None:
  opened = store(Flat())
  granted = grant('bob', 'team-*', 'read write', until=5.0)
  token = opened.token(granted)
  secret = opened._keyring.secret('#grants')
  assert read_token(token, secret) == granted
  body, tag = token.split('.')
  other = sign(granted._replace(spaces='*'), secret).split('.')[0]
  for forged in (f'{other}.{tag}', body, f'{body}.', f'{body}.{tag}x', 'ü.ü'):
    with pytest.raises(Denied, match='not a signed grant'):
      read_token(forged, secret)
  with pytest.raises(Denied):
    read_token(token, bytes(32))


def test_words_of_a_grant_are_checked() -> None:
  with pytest.raises(ConfigError, match='did you mean read'):
    grant('a', 'a', 'reed')
  for words in (('', 'a', 'read'), ('a', '', 'read'), ('a', 'a', '')):
    with pytest.raises(ConfigError, match=r'^store.grant'):
      grant(*words)


def test_a_pattern_is_not_a_prefix() -> None:
  one = grant('a', 'a', 'read')
  assert not one.covers('ab')
  assert not one.covers('A')
  assert grant('a', 'a*', 'read').covers('ab')
  with pytest.raises(Denied):
    grant('a', 'a*', 'admin').check('admin', '*', 0.0)


def test_words_that_look_like_sql_are_data(engine: Engine) -> None:
  opened, name = store(engine), "x'; DROP TABLE records; --"
  opened.write(name, [Record([1, 0], 'here', tags=("');DROP",))])
  where = Where(tags=("');DROP",))
  assert opened.read(name, Range(0, 1), where)[0].value == 'here'
  hits = opened.search(name, [[1.0, 0.0]], 1, Range(0, 1), where)
  assert hits.seq_QK[0, 0] != NONE
  assert opened.forget(name, where) == 1
  assert opened.end(name) == 1
