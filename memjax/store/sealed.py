"""Rows whose contents the engine cannot read, and their keys as arrays."""

from collections.abc import Iterator, Sequence

import numpy as np

from memjax.store.crypto import Cipher
from memjax.store.engine import Engine, Row
from memjax.store.index import Index
from memjax.store.keyring import Keyring
from memjax.store.records import (
  ANY,
  NEVER,
  NONE,
  Damaged,
  Found,
  Hits,
  Range,
  Record,
  Where,
  join_tags,
  nothing,
  pack,
  pack_key,
  token_ids,
  unpack,
)
from memjax.store.snapshot import Snapshot, source_number

LOADED = 4096  # keys that are opened at once


class SealedRows:
  """Seals on the way to an engine, and opens on the way back.

  All but `forget_arrays` is called inside of a transaction.
  """

  def __init__(self, engine: Engine, keyring: Keyring, metric: str):
    """Takes data keys of spaces from a keyring."""
    self._engine, self._keyring, self._metric = engine, keyring, metric
    self._indices: dict[str, Index] = {}

  def cipher(self, space: str, create: bool = False) -> Cipher:
    """The cipher of a space.

    Raises:
      Damaged: it has no key, though it has records.
    """
    cipher = self._keyring.cipher(space, create)
    if cipher is None:
      rule = 'has records but no key: the keyring is older than the store'
      raise Damaged('store.space', space, rule)
    return cipher

  def seal(
    self, space: str, begin: int, now: float, records: Sequence[Record]
  ) -> list[Row]:
    """Rows of records, numbered from `begin`."""
    cipher = self.cipher(space, create=True)
    rows = []
    for seq, record in enumerate(records, begin):
      key, payload = pack_key(record.key), pack(record)
      if not self._engine.searches:
        key = cipher.seal(key, place(space, seq, 'key'))
      payload = cipher.seal(payload, place(space, seq, 'value'))
      tags = join_tags(record.tags)
      rows.append(Row(seq, now, record.expires, tags, key, payload))
    return rows

  def read(
    self, space: str, seen: Range, where: Where, now: float
  ) -> Iterator[Found]:
    """The records of a range whose time is not over."""
    cipher = None
    for row in self._engine.rows(space, *seen, where):
      if row.expires and row.expires <= now:
        continue
      cipher = cipher or self.cipher(space)
      payload = cipher.open(row.payload, place(space, row.seq, 'value'))
      value, source = unpack(payload)
      tags = tuple(row.tags.split())
      yield Found(row.seq, value, row.at, row.expires, tags, source)

  def nearest(
    self,
    space: str,
    query_QD: np.ndarray,
    count: int,
    seen: Range,
    now: float,
    where: Where,
  ) -> Hits:
    """The nearest records of a range whose time is not over."""
    if not self._engine.state(space).width:
      return nothing(len(query_QD), count)
    if self._engine.searches:
      asked = query_QD, count, seen, now, where, self._metric
      return self._engine.nearest(space, *asked)
    return self.index(space).search(query_QD, count, seen, now, where)

  def index(self, space: str) -> Index:
    """The keys of a space, up to its end of this moment."""
    end, epoch, width = self._engine.state(space)
    index = self._indices.get(space)
    if index is None or index.end > end or index.epoch > epoch:
      index = self._indices[space] = Index(width, self._metric)
      index.epoch = epoch
    if index.epoch != epoch:
      index.keep(self._engine.usage(space).seq_N)
      index.epoch = epoch
    seqs: list[int] = []
    keys: list[bytes] = []
    times: list[tuple[float, float, str]] = []
    for seq, at, expires, tags, key in self._engine.keys(space, index.end, end):
      if not self._engine.searches:
        key = self.cipher(space).open(key, place(space, seq, 'key'))
      seqs.append(seq)
      keys.append(key)
      times.append((at, expires, tags))
      if len(seqs) == LOADED:
        index.add(seqs, b''.join(keys), times)
        seqs, keys, times = [], [], []
    if seqs:
      index.add(seqs, b''.join(keys), times)
    index.end = end
    return index

  def snapshot(
    self, space: str, seen: Range, now: float, about: str
  ) -> tuple[Snapshot, float]:
    """The records of a range whose time is not over, and when that ends."""
    width = self._engine.state(space).width
    index = self.index(space) if width else Index(0, self._metric)
    key_ND, seq_N, at_N = index.arrays(seen, now)
    found = list(self.read(space, seen, ANY, now))
    tokens = [token_ids(row.value) for row in found]
    token_NW = np.full((len(found), max(map(len, tokens), default=1)), NONE)
    for row, ids in enumerate(tokens):
      token_NW[row, : len(ids)] = ids
    sources = [source_number(row.source) for row in found]
    expiries = [row.expires for row in found if row.expires]
    snapshot = Snapshot(
      key_ND.astype(np.float16),
      token_NW.astype(np.int32),
      seq_N,
      at_N,
      np.array(sources, np.uint64),
      self._metric,
      about,
    )
    return snapshot, min(expiries, default=NEVER)

  def faults(self, space: str) -> Iterator[str]:
    """The records that do not open where they are."""
    end, _, width = self._engine.state(space)
    for row in self._engine.rows(space, 0, end):
      try:
        cipher, key = self.cipher(space), row.key
        cipher.open(row.payload, place(space, row.seq, 'value'))
        if not self._engine.searches:
          key = cipher.open(key, place(space, row.seq, 'key'))
        if len(key) != 4 * width:
          yield f'{space}: record {row.seq}: its key has another width'
      except Damaged as damage:
        yield f'{space}: record {row.seq}: {damage.rule}'

  def forget_arrays(self, space: str) -> None:
    """Drops the keys of a space from this process."""
    self._indices.pop(space, None)


def place(space: str, seq: int, column: str) -> bytes:
  """Where a sealed value belongs: it opens nowhere else."""
  return f'{space}\0{seq}\0{column}'.encode()
