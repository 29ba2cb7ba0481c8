"""Keys, and what cannot be read or moved without them."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from memjax.errors import ConfigError
from memjax.store.crypto import (
  FILE_VARIABLE,
  VARIABLE,
  Cipher,
  new_master,
  parse_master,
  read_master,
)
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.keyring import FileKeyring, Keyring
from memjax.store.records import Damaged, Range, Record
from tests.store.engines import records, store

pytest.importorskip('cryptography')


def test_a_sealed_value_opens_in_its_place_only() -> None:
  cipher = Cipher(new_master())
  sealed = cipher.seal(b'secret', b'here')
  assert cipher.open(sealed, b'here') == b'secret'
  assert cipher.seal(b'secret', b'here') != sealed
  assert b'secret' not in sealed
  flipped = [
    sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :]
    for i in range(len(sealed))
  ]
  for bad in (*flipped, sealed[:-1], sealed + b'x', b'', b'short'):
    with pytest.raises(Damaged, match='does not open'):
      cipher.open(bad, b'here')
  for other, place in ((cipher, b'there'), (Cipher(new_master()), b'here')):
    with pytest.raises(Damaged, match='does not open'):
      other.open(sealed, place)


def test_a_moved_row_is_found(engine: Engine) -> None:
  """Exchanged payloads open nowhere: their place is authenticated."""
  opened = store(engine)
  opened.write('a', records(3))
  with engine.transaction():
    one, two, _three = engine.rows('a', 0, 3)
    engine.delete('a', [0, 1])
    swapped = [
      one._replace(payload=two.payload),
      two._replace(payload=one.payload),
    ]
    engine.put('a', 4, swapped)
  assert opened.faults('a') == [
    f'a: record {seq}: does not open: changed, moved, or sealed with another '
    'key'
    for seq in (0, 1)
  ]
  with pytest.raises(Damaged, match="'a 0 value'"):
    opened.read('a', Range(0, 1))


def test_engines_see_no_value_and_no_key() -> None:
  engine = Flat()
  record = Record([1.5, 2.5], 'the secret', source='the source')
  store(engine).write('a', [record])
  kept = b''.join(
    part for row in engine.rows('a', 0, 1) for part in (row.key, row.payload)
  )
  for secret in (b'secret', b'source', record_bytes(record)):
    assert secret not in kept


def record_bytes(record: Record) -> bytes:
  from memjax.store.records import pack_key

  return pack_key(record.key)


def test_another_master_key_gives_the_same_answers(tmp_path: Path) -> None:
  first, second = new_master(), new_master()
  engine, path = Flat(), tmp_path / 'keys'
  opened = store(engine, keyring=FileKeyring(path, first))
  opened.write('a', records(5))
  before = opened.read('a', Range(0, 5))
  FileKeyring(path, first).rotate(second)
  after = store(engine, keyring=FileKeyring(path, second))
  assert after.read('a', Range(0, 5)) == before
  assert after.faults('*') == []
  with pytest.raises(Damaged, match='does not open it'):
    FileKeyring(path, first)


def test_a_keyring_is_private_whole_and_shared(tmp_path: Path) -> None:
  master, path = new_master(), tmp_path / 'keys'
  one, two = FileKeyring(path, master), FileKeyring(path, master)
  key = one.key('a', create=True)
  assert two.key('a', create=True) == key  # not a second one
  assert (path.stat().st_mode & 0o777) == 0o600
  assert key is not None
  assert key not in path.read_bytes()
  assert two.cipher('a') is not None
  one.destroy('a')
  assert two.cipher('a') is None
  assert two.key('a') is None
  path.write_text(path.read_text()[:-3])
  with pytest.raises(Damaged, match='is damaged'):
    FileKeyring(path, master)


def test_a_flipped_byte_of_the_keyring_is_found(tmp_path: Path) -> None:
  master, path = new_master(), tmp_path / 'keys'
  FileKeyring(path, master).key('a', create=True)
  text = bytearray(path.read_bytes())
  at = text.index(b'": "') + 10
  text[at] = ord('A') if text[at] != ord('A') else ord('B')
  path.write_bytes(text)
  with pytest.raises(Damaged, match='keys'):
    FileKeyring(path, master)


def test_master_keys_are_read_from_the_environment(tmp_path: Path) -> None:
  key = new_master()
  path = tmp_path / 'key'
  path.write_text(f'{key.hex()}\n')
  path.chmod(0o600)
  assert read_master({VARIABLE: key.hex()}) == key
  assert read_master({FILE_VARIABLE: str(path)}) == key
  refused = {
    'set MEMJAX_STORE_KEY_FILE': {},
    'not both': {VARIABLE: key.hex(), FILE_VARIABLE: str(path)},
    '64 hexadecimal digits': {VARIABLE: 'hunter2'},
    'No such file': {FILE_VARIABLE: str(tmp_path / 'none')},
  }
  for rule, environment in refused.items():
    with pytest.raises(ConfigError, match=rule) as error:
      read_master(environment)
    assert 'hunter2' not in str(error.value)
  path.chmod(0o640)
  with pytest.raises(ConfigError, match='chmod 600'):
    read_master({FILE_VARIABLE: str(path)})
  path.chmod(0o600)
  path.write_bytes(b'\xff')
  with pytest.raises(ConfigError, match='64 hexadecimal'):
    read_master({FILE_VARIABLE: str(path)})
  with pytest.raises(ConfigError, match='64 hexadecimal'):
    parse_master('00', 'x')


def test_a_missing_package_is_one_line() -> None:
  script = (
    'import sys; sys.modules["cryptography"] = None\n'
    'from memjax.store.crypto import Cipher\n'
    'try: Cipher(bytes(32))\n'
    'except ValueError as error: print(error)'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script],
    capture_output=True,
    text=True,
    check=True,
    env=os.environ | {'PYTHONPATH': '.'},
  )
  assert ran.stdout == (
    "store: 'cryptography': needs a package: pip install 'memjax[store]'\n"
  )


def test_a_space_without_its_key_is_not_read_as_empty() -> None:
  engine = Flat()
  store(engine).write('a', records(1))
  with pytest.raises(Damaged, match='has records but no key'):
    store(engine, keyring=Keyring(new_master())).read('a', Range(0, 1))
