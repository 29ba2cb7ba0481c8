"""What a server adds: its own grants, several machines, its own death."""

import os
from pathlib import Path
import signal
import subprocess
import sys
from urllib.parse import quote

import numpy as np
import pytest

from memjax.errors import ConfigError, NotSaved
from memjax.store.crypto import VARIABLE, new_master
from memjax.store.engine import Engine
from memjax.store.grants import Denied, grant
from memjax.store.keyring import Keyring
from memjax.store.opening import open_store
from memjax.store.records import NONE, Range, Record, Where
from tests.store import test_faults
from tests.store.engines import (
  ALL_RIGHTS,
  Postgres,
  engine,
  new_schema,
  server,
  store,
)

psycopg = pytest.importorskip('psycopg', reason='needs psycopg[binary]')
from memjax.store.server import Server  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def running() -> Postgres:
  return server()


def test_the_server_repeats_the_grants(running: Postgres) -> None:
  """A role that sends its own SQL sees its own rows, and may add no others."""
  address = new_schema(running.address)
  owner, keyring = Server(address), Keyring(new_master())
  opened = store(owner, keyring=keyring)
  for space in ('alice', 'bob', 'bob_1', 'bobx1'):
    opened.write(space, [Record([1, 0], f'of {space}')])
  schema = address.rpartition('%3D')[2]
  with psycopg.connect(running.address, autocommit=True) as connection:
    for role in ('alice', 'guest'):
      connection.execute(f'DROP ROLE IF EXISTS {role}')
      connection.execute(f'CREATE ROLE {role} LOGIN')
      connection.execute(f'GRANT USAGE ON SCHEMA {schema} TO {role}')
  owner.allow('alice', grant('alice', 'alice', 'read write'))
  owner.allow('alice', grant('alice', 'bob_?', 'read', until=9e9))
  owner.allow('alice', grant('alice', 'bob', 'read forget', until=1.0))
  theirs = address.replace('owner@', 'alice@')
  everything = grant('alice', '*', 'read write forget admin')
  mine = store(Server(theirs), everything, keyring)  # memjax's check is passed
  seen = Range(0, 9)
  assert [f.value for f in mine.read('alice', seen)] == ['of alice']
  assert mine.write('alice', [Record([0, 1], 'more')]) == Range(1, 2)
  assert [f.value for f in mine.read('bob_1', seen)] == ['of bob_1']
  for space in ('bob', 'bobx1', 'none'):
    assert mine.read(space, seen) == []
    assert mine.end(space) == 0
    assert (mine.search(space, [[1.0, 0]], 1, seen).seq_QK == NONE).all()
  with pytest.raises(Denied, match='the server denies it'):
    mine.write('new', [Record([0, 1], 'x')])
  with pytest.raises(Denied, match='the server denies it'):
    mine.audit('*')
  assert mine.forget('bob', Where()) == 0
  assert len(opened.read('bob', seen)) == 1
  with psycopg.connect(theirs) as connection:
    rows = connection.execute('SELECT count(*) FROM records').fetchone()
    assert rows == (3,)
    hidden = connection.execute('SELECT name FROM spaces').fetchall()
    assert sorted(hidden) == [('alice',), ('bob_1',)]
    for sql in ('TABLE grants', 'TABLE notes', 'DELETE FROM notes'):
      with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        connection.transaction(),
      ):
        connection.execute(sql)
  guest = Server(address.replace('owner@', 'guest@'))
  with pytest.raises(Denied):
    store(guest, ALL_RIGHTS, keyring)
  guest.close()
  for pattern, role in (('a[b]', 'alice'), ('a', 'alice; DROP TABLE grants')):
    with pytest.raises(ConfigError):
      owner.allow(role, grant('x', pattern, 'read'))
  mine.close()
  opened.close()


def test_the_server_sees_numbers_and_times_only(running: Postgres) -> None:
  """Its files hold no value and no key, unless it searches: then the keys."""
  secret, key = 'Sesame-7391-secret', np.array([1.25, -2.5, 7.75], np.float32)
  for searches in (False, True):
    engine = Server(new_schema(running.address), searches)
    opened = store(engine)
    opened.write('space-a', [Record(key, secret, source=secret)])
    with engine.transaction():
      content = engine._open.execute('SELECT key::text FROM records').fetchone()
      engine._open.execute('SELECT pg_switch_wal()')
    assert searches == ('1.25' in content[0])
    opened.close()
  with psycopg.connect(running.address, autocommit=True) as connection:
    connection.execute('CHECKPOINT')
  files = [p for p in (running.folder / 'data').rglob('*') if p.is_file()]
  found = [p for p in files if secret.encode() in p.read_bytes()]
  assert len(files) > 500
  assert found == []


def test_a_killed_writer_and_a_killed_server_lose_nothing(
  running: Postgres, tmp_path: Path
) -> None:
  """kill -9 of the writer, then of the server while another one writes."""
  address, keys = new_schema(running.address), tmp_path / 'keys'
  rows = {}
  for name, victim in (('w', 'writer'), ('s', 'server')):
    process = test_faults.writer(address, keys, name, 10**6)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(25)]
    assert all(lines)
    if victim == 'server':
      os.kill(running.pid(), signal.SIGKILL)
      subprocess.run(['sleep', '0.5'], check=True)
    process.kill()
    rows[name] = ''.join(lines) + process.communicate()[0]
  # Where nobody collects ended processes, the dead one seems to be alive.
  (running.folder / 'data/postmaster.pid').unlink()
  (running.folder / f'.s.PGSQL.{running.port}.lock').unlink()
  running.start()
  with open_store(
    address, test_faults.RIGHTS, keyring=keys, master=test_faults.MASTER
  ) as opened:
    for name, said in rows.items():
      assert len(test_faults.acknowledged(said)) >= 25
      test_faults.check(opened, name, test_faults.acknowledged(said))


def test_two_writers_wait_for_each_other(
  running: Postgres, tmp_path: Path
) -> None:
  address, keys = new_schema(running.address), tmp_path / 'keys'
  test_faults.writer(address, keys, 'x', 1).communicate()  # makes the tables
  both = [test_faults.writer(address, keys, name, 30) for name in 'yz']
  said = [process.communicate()[0] for process in both]
  with open_store(
    address, test_faults.RIGHTS, keyring=keys, master=test_faults.MASTER
  ) as opened:
    for name, text in zip('yz', said, strict=True):
      assert len(test_faults.acknowledged(text)) == 30
      test_faults.check(opened, name, test_faults.acknowledged(text))


def test_a_store_goes_on_after_its_connection_broke(running: Postgres) -> None:
  engine = Server(new_schema(running.address))
  opened = store(engine)
  opened.write('a', [Record([1, 0], 'x')])
  pid = engine._open.info.backend_pid
  with psycopg.connect(running.address, autocommit=True) as connection:
    connection.execute('SELECT pg_terminate_backend(%s)', (pid,))
  with pytest.raises(NotSaved, match='the server does not answer'):
    opened.write('a', [Record([1, 0], 'y')])
  assert opened.write('a', [Record([1, 0], 'y')]) == Range(1, 2)
  opened.close()


def test_addresses_are_checked(running: Postgres) -> None:
  with pytest.raises(ConfigError, match='must hold no password') as error:
    Server('postgresql://me:hunter2@localhost/db')
  assert 'hunter2' not in str(error.value)
  with pytest.raises(NotSaved, match=r'127.0.0.1/db.*does not answer'):
    Server('postgresql://me@127.0.0.1:1/db')
  script = (
    'from memjax.store.opening import open_store\n'
    'from memjax.store.grants import grant\n'
    f'open_store("{quote("postgresql")}://a:hunter2@b/c", '
    'grant("a", "a", "read"), keyring="k")'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script],
    capture_output=True,
    text=True,
    env=os.environ | {VARIABLE: 64 * '0', 'PYTHONPATH': str(test_faults.ROOT)},
  )
  assert ran.returncode
  assert 'hunter2@' not in ran.stderr.splitlines()[-1]


def test_the_extension_is_used_where_it_is(tmp_path: Path) -> None:
  for name, expected in (('server', 'bytea'), ('server-searching', 'real[]')):
    made = engine(name, tmp_path)
    assert key_type(made) == expected
    made.close()
  made = engine('server-pgvector', tmp_path)
  assert key_type(made) == 'vector'
  made.close()


def key_type(made: Engine) -> str:
  assert isinstance(made, Server)
  return made._key_type
