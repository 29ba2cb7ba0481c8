"""Opens the store of a file or of a server's address."""

from collections.abc import Callable
import os
from pathlib import Path
import time

from memjax.errors import ConfigError, require
from memjax.store.base import Store
from memjax.store.crypto import read_master
from memjax.store.engine import Engine
from memjax.store.grants import Grant, read_token
from memjax.store.keyring import OF_FILE, OF_GRANTS, OF_MASKS, FileKeyring
from memjax.store.mask import Mask
from memjax.store.server import Server
from memjax.store.sqlite import Sqlite

KEYRING = '.keys'
VARIABLE = 'MEMJAX_STORE_KEYRING'  # the keyring of a server
ADDRESS = 'postgresql://'


def open_store(
  where: str | Path,
  granted: Grant | str,
  *,
  keyring: str | Path = '',
  master: bytes | None = None,
  searches: bool = False,
  masked: bool = False,
  metric: str = 'cosine',
  clock: Callable[[], float] = time.time,
) -> Store:
  """Opens a store, or creates one.

  Args:
    where: a file, or `postgresql://...`.
    granted: what may be done with it, or a signed grant, `Store.token`.
    keyring: the file of data keys; '': beside the file, `FILE.keys`, and for a
      server that of the environment.
    master: the master key; None: that of the environment.
    searches: the engine searches, and sees the keys; else this process does.
    masked: personal data in text is replaced before it is written.
    metric: 'cosine' or 'l2', of a new store.
    clock: the time, in seconds since 1970.

  Raises:
    ConfigError: there is no key, it is the wrong one, the file is damaged, or
      the server does not answer.
  """
  on_server = str(where).startswith(ADDRESS)
  if on_server and not keyring:
    keyring = os.environ.get(VARIABLE, '')
    rule = f'set {VARIABLE} to a file of data keys: a server must not hold them'
    require(bool(keyring), 'store.keyring', '', rule)
  path = Path(keyring) if keyring else Path(f'{where}{KEYRING}')
  there = not on_server and Path(where).exists()
  rule = f'its keyring {path} is missing'
  require(not there or path.exists(), 'store', str(where), rule)
  if not on_server and not Path(where).absolute().parent.is_dir():
    raise ConfigError('store', str(where), 'its folder does not exist')
  keys = FileKeyring(path, master or read_master())
  if isinstance(granted, str):
    granted = read_token(granted, keys.secret(OF_GRANTS))
  engine: Engine
  if on_server:
    engine = Server(str(where), searches)
  else:
    engine = Sqlite(Path(where), keys.secret(OF_FILE), searches)
  mask = Mask(keys.secret(OF_MASKS)) if masked else None
  try:
    return Store(engine, keys, granted, metric=metric, mask=mask, clock=clock)
  except BaseException:
    engine.close()
    raise
