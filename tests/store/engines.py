"""Engines to test, each new and empty; skipped where a package is missing."""

import contextlib
import itertools
import os
from pathlib import Path
import pwd
import shutil
import socket
import subprocess
import tempfile
from typing import Any

import numpy as np
import pytest

from memjax.store.base import Store
from memjax.store.crypto import new_master
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.grants import Grant, grant
from memjax.store.keyring import Keyring
from memjax.store.records import Record

ENGINES = (
  'flat',
  'sqlite',
  'sqlite-searching',
  pytest.param('server', marks=pytest.mark.slow),
  pytest.param('server-searching', marks=pytest.mark.slow),
  pytest.param('server-pgvector', marks=pytest.mark.slow),
)
ALL_RIGHTS = grant('tester', '*', 'read write forget admin')
NUMBERS = itertools.count()
KEY = bytes(range(32))


class Clock:
  """A time that tests move."""

  def __init__(self, now: float = 1000.0):
    self.now = now

  def __call__(self) -> float:
    return self.now


def engine(name: str, folder: Path) -> Engine:
  """An engine without records, or a skipped test."""
  kind, _, searching = name.partition('-')
  if kind == 'flat':
    return Flat()
  if kind == 'sqlite':
    pytest.importorskip('apsw', reason='needs apsw-sqlite3mc')
    from memjax.store.sqlite import Sqlite

    if searching:
      pytest.importorskip('sqlite_vec')
    return Sqlite(folder / 'store.db', KEY, bool(searching))
  pytest.importorskip('psycopg', reason='needs psycopg[binary]')
  from memjax.store.server import Server

  if searching == 'pgvector':
    address = f'{new_schema(with_vector(server()))}%2Cpublic'
  else:
    address = new_schema(server().address)
  return Server(address, bool(searching))


def store(
  within: Engine,
  granted: Grant = ALL_RIGHTS,
  keyring: Keyring | None = None,
  **options: Any,
) -> Store:
  """A store with a clock that stands still."""
  pytest.importorskip('cryptography')
  keyring = keyring or Keyring(new_master())
  options.setdefault('clock', Clock())
  return Store(within, keyring, granted, **options)


def records(count: int, width: int = 4, seed: int = 0) -> list[Record]:
  """Records with random keys; the values are their numbers."""
  keys = np.random.default_rng(seed).normal(size=(count, width))
  return [Record(key, f'value {i}') for i, key in enumerate(keys)]


class Postgres:
  """A server of a test session on loopback, in a folder of its own."""

  def __init__(self, programs: Path):
    self.folder = Path(tempfile.mkdtemp(prefix='memjax-postgres-'))
    try:
      self._programs, self._user = programs, self._unprivileged()
      with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        self.port = free.getsockname()[1]
      self.run('initdb', '-D', 'data', '-U', 'owner', '-A', 'trust', '-N')
      self.start()
    except BaseException:
      shutil.rmtree(self.folder)
      raise

  @property
  def address(self) -> str:
    return f'postgresql://owner@127.0.0.1:{self.port}/postgres'

  def run(self, program: str, *words: str) -> None:
    libraries = os.environ.get('LD_LIBRARY_PATH', '')
    subprocess.run(
      [self._programs / program, *words],
      cwd=self.folder,
      check=True,
      stdout=subprocess.DEVNULL,
      user=self._user,
      env={
        'PATH': '/usr/bin:/bin',
        'LC_ALL': 'C.UTF-8',
        'LD_LIBRARY_PATH': libraries,
      },
    )

  def start(self) -> None:
    options = f'-p {self.port} -h 127.0.0.1 -k {self.folder}'
    self.run(
      *('pg_ctl', '-D', 'data', '-l', 'log', '-o', options, '-w', 'start')
    )

  def pid(self) -> int:
    return int((self.folder / 'data/postmaster.pid').read_text().split()[0])

  def stop(self) -> None:
    self.run('pg_ctl', '-D', 'data', '-m', 'immediate', '-w', 'stop')
    shutil.rmtree(self.folder)

  def _unprivileged(self) -> str | None:
    """PostgreSQL does not run as root."""
    if os.getuid():
      return None
    with contextlib.suppress(KeyError):
      os.chown(self.folder, pwd.getpwnam('postgres').pw_uid, -1)
      return 'postgres'
    pytest.skip('PostgreSQL does not run as root, and has no user postgres')


RUNNING: list[Postgres] = []
PROGRAMS = 'MEMJAX_POSTGRES'  # the folder bin of another PostgreSQL


def server() -> Postgres:
  """The server of this session, or a skipped test."""
  if not RUNNING:
    found = sorted(Path('/usr/lib/postgresql').glob('*/bin'))
    found += [Path(os.environ[PROGRAMS])] if PROGRAMS in os.environ else []
    if not found:
      pytest.skip('needs PostgreSQL: apt-get install postgresql')
    RUNNING.append(Postgres(found[-1]))
  return RUNNING[0]


def with_vector(running: Postgres) -> str:
  """The address of a database with pgvector, or a skipped test."""
  import psycopg

  with psycopg.connect(running.address, autocommit=True) as connection:
    run = connection.execute
    known = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
    if not run(known).fetchone():
      pytest.skip('needs pgvector: apt-get install postgresql-16-pgvector')
    if not run(
      "SELECT 1 FROM pg_database WHERE datname = 'vectors'"
    ).fetchone():
      run('CREATE DATABASE vectors')
  address = f'{running.address.rpartition("/")[0]}/vectors'
  with psycopg.connect(address) as connection:
    connection.execute('CREATE EXTENSION IF NOT EXISTS vector')
  return address


def new_schema(address: str) -> str:
  """The address of an empty part of a database."""
  import psycopg

  name = f'test_{next(NUMBERS)}'
  with psycopg.connect(address) as connection:
    connection.execute(f'CREATE SCHEMA {name}')
  return f'{address}?options=-csearch_path%3D{name}'
