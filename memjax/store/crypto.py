"""A master key from the environment, and values sealed with AES-256-GCM.

    sealed = nonce || AES-256-GCM(key, nonce, content, place)

The place of a value, its space, number and column, is authenticated: a row that
was moved or exchanged does not open.
"""

import binascii
from collections.abc import Mapping
import os
from pathlib import Path
import stat

from memjax.errors import ConfigError, require
from memjax.store.records import Damaged

KEY_BYTES, NONCE_BYTES = 32, 12
VARIABLE, FILE_VARIABLE = 'MEMJAX_STORE_KEY', 'MEMJAX_STORE_KEY_FILE'


class Cipher:
  """Seals and opens with one key."""

  def __init__(self, key: bytes):
    """Needs the package cryptography, of the extra `store`."""
    try:
      from cryptography.exceptions import InvalidTag
      from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError:
      rule = "needs a package: pip install 'memjax[store]'"
      raise ConfigError('store', 'cryptography', rule) from None
    self._aead, self._invalid = AESGCM(key), InvalidTag

  def seal(self, content: bytes, place: bytes) -> bytes:
    """The content, readable with this key at this place only."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + self._aead.encrypt(nonce, content, place)

  def open(self, sealed: bytes, place: bytes) -> bytes:
    """The content of `seal`.

    Raises:
      Damaged: the bytes were changed or moved, or sealed with another key.
    """
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
      return self._aead.decrypt(nonce, rest, place)
    except (self._invalid, ValueError):
      rule = 'does not open: changed, moved, or sealed with another key'
      where = place.decode(errors='replace').replace('\0', ' ')
      raise Damaged('store', where, rule) from None


def new_master() -> bytes:
  """A random master key."""
  return os.urandom(KEY_BYTES)


def parse_master(text: str, source: str) -> bytes:
  """A master key from 64 hexadecimal digits.

  Raises:
    ConfigError: the text is something else. The message does not show it.
  """
  try:
    key = binascii.unhexlify(text.strip())
  except ValueError:
    key = b''
  rule = 'must hold 64 hexadecimal digits, as of: openssl rand -hex 32'
  require(len(key) == KEY_BYTES, 'store.key', source, rule)
  return key


def read_master(environment: Mapping[str, str] = os.environ) -> bytes:
  """The master key that the environment holds or names a file of.

  Raises:
    ConfigError: there is none, both are set, the file can be read by others, or
      it holds something else.
  """
  text, name = environment.get(VARIABLE), environment.get(FILE_VARIABLE)
  rule = f'set {FILE_VARIABLE} to a file of the key, or {VARIABLE} to the key'
  require(bool(text or name), 'store.key', '', rule)
  rule = f'set {VARIABLE} or {FILE_VARIABLE}, not both'
  require(not (text and name), 'store.key', str(name), rule)
  if text:
    return parse_master(text, VARIABLE)
  try:
    path = Path(str(name))
    mode = stat.S_IMODE(path.stat().st_mode)
    rule = f'others may read it (mode {mode:03o}): chmod 600'
    require(not mode & 0o077, 'store.key', str(name), rule)
    return parse_master(path.read_text(encoding='ascii'), str(name))
  except OSError as error:
    rule = f'cannot be read: {error.strerror}'
    raise ConfigError('store.key', str(name), rule) from None
  except UnicodeDecodeError:
    return parse_master('', str(name))
