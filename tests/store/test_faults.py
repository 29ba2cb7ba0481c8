"""Killed writers, two writers, full disks, wrong keys, flipped bytes."""

from collections.abc import Sequence
import os
from pathlib import Path
import random
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from memjax.errors import ConfigError, NotSaved
from memjax.store.base import Store
from memjax.store.crypto import VARIABLE, new_master
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Damaged, Range, Record

pytest.importorskip('apsw')
pytest.importorskip('cryptography')

ROOT = Path(__file__).parents[2]
MASTER = bytes(range(32))
RIGHTS = grant('tester', '*', 'read write forget admin')
# Writes pairs of records for ever, and says so after each acknowledged write.
WRITER = """
import sys
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Record
where, name, keys, most = sys.argv[1:]
opened = open_store(where, grant(name, 'a', 'write'), keyring=keys)
for i in range(int(most)):
  values = [f'{name} {i} {half}' + 99 * '.' for half in '01']
  pair = [Record([1.0, i + 1.0], value) for value in values]
  begin, end = opened.write('a', pair)
  print(i, begin, end, flush=True)
"""


def open_file(folder: Path, **options: object) -> Store:
  return open_store(folder / 'db', RIGHTS, master=MASTER, **options)  # type: ignore[arg-type]


def writer(where: str, keys: Path, name: str, most: int) -> subprocess.Popen:
  paths = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
  environment = os.environ | {VARIABLE: MASTER.hex(), 'PYTHONPATH': paths}
  words = [sys.executable, '-c', WRITER, where, name, str(keys), str(most)]
  return subprocess.Popen(
    words, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
  )


def acknowledged(said: str) -> list[tuple[int, ...]]:
  whole = [line for line in said.splitlines(keepends=True) if line[-1] == '\n']
  return [tuple(map(int, line.split())) for line in whole]


def check(opened: Store, name: str, rows: Sequence[tuple[int, ...]]) -> None:
  """Everything acknowledged is there, pairs are whole, nothing is damaged."""
  found = opened.read('a', Range(0, opened.end('a')))
  values = {f.seq: f.value[:-99] for f in found}
  assert sorted(values) == list(range(len(values)))
  assert len(values) % 2 == 0
  for number, begin, end in rows:
    assert end == begin + 2
    pair = [values[seq] for seq in range(begin, end)]
    assert pair == [f'{name} {number} 0', f'{name} {number} 1']
  assert opened.faults('*') == []
  written = sum(e.records for e in opened.audit('*') if e.action == 'write')
  assert written == len(values)


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
  rng = random.Random(4)
  for trial in range(3):
    folder = tmp_path / str(trial)
    folder.mkdir()
    process = writer(str(folder / 'db'), folder / 'db.keys', 'w', 10**6)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(rng.randrange(1, 60))]
    assert all(lines)
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0]
    with open_file(folder) as opened:
      check(opened, 'w', acknowledged(''.join(lines) + rest))


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
  keys = tmp_path / 'db.keys'
  both = [writer(str(tmp_path / 'db'), keys, name, 40) for name in 'xy']
  rows = [acknowledged(process.communicate()[0]) for process in both]
  with open_file(tmp_path) as opened:
    for name, own in zip('xy', rows, strict=True):
      assert len(own) == 40
      check(opened, name, own)
    assert opened.end('a') == 160


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
  """The file may not grow further, as on a disk without room."""
  opened = open_file(tmp_path)
  seen = opened.write('a', [Record([1.0, i], f'{i}') for i in range(200)])
  before = opened.read('a', seen)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  largest = max(path.stat().st_size for path in tmp_path.iterdir())
  resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
  try:
    with pytest.raises(NotSaved, match='the disk is full') as error:
      opened.write('a', [Record([1.0, i], 999 * 'x') for i in range(2000)])
    assert '\n' not in str(error.value)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert opened.end('a') == 200
  assert opened.read('a', seen) == before
  assert opened.write('a', [Record([1.0, 0], 'more')]) == Range(200, 201)
  assert opened.faults('*') == []
  opened.close()


def test_a_wrong_key_fails_when_the_store_is_opened(tmp_path: Path) -> None:
  open_file(tmp_path).close()
  with pytest.raises(Damaged, match='does not open it') as error:
    open_store(tmp_path / 'db', RIGHTS, master=new_master())
  assert MASTER.hex() not in str(error.value)
  other = tmp_path / 'other'
  other.mkdir()
  open_file(other).close()
  with pytest.raises(Damaged, match='another key encrypted it'):
    open_store(
      tmp_path / 'db', RIGHTS, keyring=other / 'db.keys', master=MASTER
    )
  (tmp_path / 'db.keys').unlink()
  with pytest.raises(ConfigError, match=r'keyring .* is missing'):
    open_file(tmp_path)
  (tmp_path / 'text').write_text('no store' * 999)
  shutil.copy(other / 'db.keys', tmp_path / 'text.keys')
  with pytest.raises(Damaged, match='is not a store'):
    open_store(tmp_path / 'text', RIGHTS, master=MASTER)
  for where in (tmp_path, tmp_path / 'none' / 'db'):
    with pytest.raises(ConfigError, match=r'^store'):
      open_store(where, RIGHTS, master=MASTER)


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
  """In any page that holds something, and then nothing else is answered."""
  with open_file(tmp_path) as opened:
    opened.write('a', [Record([1.0, i], f'{i}' * 40) for i in range(300)])
  whole, rng = (tmp_path / 'db').read_bytes(), random.Random(9)
  for at in [0, len(whole) - 1, *rng.sample(range(len(whole)), 40)]:
    changed = bytearray(whole)
    changed[at] ^= 1 << rng.randrange(8)
    (tmp_path / 'db').write_bytes(changed)
    for beside in ('db-wal', 'db-shm'):
      (tmp_path / beside).unlink(missing_ok=True)
    assert finds_fault(tmp_path), at


def finds_fault(folder: Path) -> bool:
  try:
    with open_file(folder) as opened:
      return bool(opened.faults('*'))
  except Damaged:
    return True


def test_no_secret_is_in_any_file(tmp_path: Path) -> None:
  """Not in the file, its log, the keyring, nor what a crash leaves of them."""
  secret, tag, space = 'Sesame-7391', 'tag-sesame', 'space-of-alice'
  key = np.array([1.25, -2.5, 7.75, 3.125], np.float32)
  opened = open_file(tmp_path)
  opened.write(space, [Record(key, secret, tags=(tag,), source=secret)])
  opened.search(space, key[None], 1, Range(0, 1))
  secrets = [secret, tag, space, MASTER.hex()]
  for path in tmp_path.iterdir():  # the log is there: nothing was closed
    content = path.read_bytes()
    for text in (*(s.encode() for s in secrets), key.tobytes(), MASTER):
      names = path.name == 'db.keys' and text == space.encode()
      assert names == (text in content), (path, text)
    assert path.stat().st_mode & 0o077 == 0, path
  assert (tmp_path / 'db-wal').stat().st_size > 0
  opened.close()


def test_opening_reads_a_signed_grant(tmp_path: Path) -> None:
  with open_file(tmp_path) as opened:
    token = opened.token(grant('bob', 'b', 'read'))
  with open_store(tmp_path / 'db', token, master=MASTER) as opened:
    assert opened.grant == grant('bob', 'b', 'read')
  with pytest.raises(ConfigError, match='not a signed grant'):
    open_store(tmp_path / 'db', token[:-2], master=MASTER)
  with pytest.raises(ConfigError, match=r'^store.keyring'):
    open_store('postgresql://a@b/c', RIGHTS, master=MASTER)


def test_a_masked_store_has_one_key_of_pseudonyms(tmp_path: Path) -> None:
  pytest.importorskip('phonenumbers')
  said = []
  for _ in range(2):
    with open_file(tmp_path, masked=True) as opened:
      seen = opened.write('a', [Record([1.0], 'mail a@b.org')])
      said += [found.value for found in opened.read('a', seen)]
  assert said[0] == said[1] != 'mail a@b.org'
