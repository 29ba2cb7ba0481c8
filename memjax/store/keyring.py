"""The keys of the spaces, in a file beside the store and not in it.

    master key   32 bytes, from a file or an environment variable
    data keys    one a space, one a snapshot, a few for the store itself; random
    keyring      a file of data keys, each sealed with the master key

A space is destroyed by removing its key: backups of the store are noise from
then on. Keep backups of the keyring apart, and for a short time. Another master
key rewrites the keyring, and no record.
"""

import base64
from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
from pathlib import Path

from memjax.errors import ConfigError
from memjax.store.crypto import KEY_BYTES, Cipher
from memjax.store.records import Damaged

# Data keys of the store itself, not of a space.
OF_FILE, OF_AUDIT, OF_MASKS, OF_GRANTS = '#file', '#audit', '#masks', '#grants'
OF_SNAPSHOT = '#'  # between a space and the number of its snapshot


class Keyring:
  """Data keys by name, in memory."""

  def __init__(self, master: bytes):
    self._master = Cipher(master)
    self._sealed: dict[str, str] = {}
    self._ciphers: dict[str, Cipher] = {}

  def key(self, name: str, create: bool = False) -> bytes | None:
    """The data key of this name; None if there is none.

    Raises:
      Damaged: the master key does not open it.
    """
    with self._file(create):
      if name not in self._sealed:
        if not create:
          return None
        sealed = self._master.seal(os.urandom(KEY_BYTES), name.encode())
        self._sealed[name] = base64.b64encode(sealed).decode()
        self._save()
      sealed = base64.b64decode(self._sealed[name])
    return self._master.open(sealed, name.encode())

  def cipher(self, name: str, create: bool = False) -> Cipher | None:
    """The cipher of a data key; None if there is none."""
    with self._file(False):  # another process may have destroyed it
      known = self._ciphers.get(name)
    if known is None and (key := self.key(name, create)):
      known = self._ciphers[name] = Cipher(key)
    return known

  def secret(self, name: str) -> bytes:
    """The data key of this name, new if there was none."""
    return self.key(name, create=True) or b''

  def destroy(self, name: str) -> None:
    """Removes a data key: what it sealed cannot be read again, anywhere."""
    with self._file(True):
      self._ciphers.pop(name, None)
      if self._sealed.pop(name, None):
        self._save()

  def destroy_snapshots(self, space: str) -> None:
    """Removes the data keys of all snapshots of a space."""
    with self._file(True):
      ended = [x for x in self._sealed if x.startswith(f'{space}{OF_SNAPSHOT}')]
      for name in ended:
        self._ciphers.pop(name, None)
        del self._sealed[name]
      if ended:
        self._save()

  @property
  def place(self) -> str:
    """The file of the keyring; '' if it is in memory only."""
    return ''

  def rotate(self, master: bytes) -> None:
    """Seals every data key with another master key, in one step."""
    with self._file(True):
      opened = {
        name: self._master.open(base64.b64decode(sealed), name.encode())
        for name, sealed in self._sealed.items()
      }
      self._master = Cipher(master)
      self._sealed = {
        name: base64.b64encode(self._master.seal(key, name.encode())).decode()
        for name, key in opened.items()
      }
      self._save()

  @contextlib.contextmanager
  def _file(self, writes: bool) -> Iterator[None]:
    """What happens within is not disturbed by other processes."""
    yield

  def _save(self) -> None:
    """Makes a change durable."""


class FileKeyring(Keyring):
  """Data keys in a file, which only its owner may read."""

  def __init__(self, path: Path, master: bytes):
    """Reads the file, if it exists; the first key creates it.

    Raises:
      ConfigError: it cannot be read, or the master key does not open it.
    """
    super().__init__(master)
    self._path, self._seen = path, (0, 0, 0)
    with self._file(False):
      names = list(self._sealed)
    for name in names[:1]:
      try:
        self.key(name)
      except Damaged:
        rule = 'the key of the environment does not open it'
        raise Damaged('store', str(path), rule) from None

  @property
  def place(self) -> str:
    return str(self._path.absolute())

  @contextlib.contextmanager
  def _file(self, writes: bool) -> Iterator[None]:
    try:
      if not writes:
        self._load()
        yield
        return
      lock = self._path.with_name(f'{self._path.name}.lock')
      with open(lock, 'a', opener=_private) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        self._load()
        yield
    except OSError as error:
      path = str(error.filename or self._path)
      raise ConfigError('store', path, str(error.strerror)) from None

  def _load(self) -> None:
    try:
      found = self._path.stat()
    except FileNotFoundError:
      return
    seen = found.st_mtime_ns, found.st_ino, found.st_size
    if seen == self._seen:
      return
    try:
      sealed = json.loads(self._path.read_text(encoding='utf-8'))
      for content in sealed.values():
        base64.b64decode(content, validate=True)
    except (ValueError, AttributeError, TypeError):
      raise Damaged('store', str(self._path), 'is damaged') from None
    for name in list(self._ciphers):
      if sealed.get(name) != self._sealed.get(name):
        del self._ciphers[name]
    self._sealed, self._seen = sealed, seen

  def _save(self) -> None:
    partial = self._path.with_name(f'{self._path.name}.partial')
    with open(partial, 'w', encoding='utf-8', opener=_private) as file:
      json.dump(self._sealed, file, indent=1)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(self._path)
    folder = os.open(self._path.parent, os.O_RDONLY)
    try:
      os.fsync(folder)
    finally:
      os.close(folder)
    found = self._path.stat()
    self._seen = found.st_mtime_ns, found.st_ino, found.st_size


def _private(path: str, flags: int) -> int:
  return os.open(path, flags, 0o600)
