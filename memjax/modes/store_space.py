"""The space of a store that an evaluation reads, and the flags that say so."""

from collections.abc import Iterator
import contextlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from memjax.errors import require
from memjax.generation.neighbours import Mixing
from memjax.modes.recall import tag_of
from memjax.runs.load import Run
from memjax.store.base import Store
from memjax.store.grants import grant
from memjax.store.opening import ADDRESS, open_store
from memjax.store.records import NONE, Range, Where, unpack_tokens


class FrozenSpace:
  """The records of a space that one model wrote, as they are now.

  Attributes:
    name: of the space.
    seen: their range; the age of record seq is `seen.end - seq`.
    records: their number.
    count: K, of records that a state finds.
    fingerprint: of all that the range holds.
  """

  def __init__(self, run: Run, store: Store, name: str, count: int):
    """Reads the tokens of all records; finds `count` for each state.

    Raises:
      ConfigError: there are none of this model, or the grant is missing.
    """
    self._where, self._store, self.count = Where((tag_of(run),)), store, count
    self.name, self.seen = name, Range(0, store.end(name))
    rows = store.read(name, self.seen, self._where)
    rule = 'holds no record of this model at this step; '
    rule += '--mode=sample --store=FILE --prompt_file=TEXT writes some'
    require(bool(rows), 'space', name, rule)
    self.records = len(rows)
    self._seq_N = np.array([row.seq for row in rows])
    self._token_N = np.array([unpack_tokens(row.value)[0] for row in rows])
    self._at_N = np.array([row.at for row in rows])
    self.fingerprint = store.snapshot(name, self.seen).fingerprint

  def nearest(
    self, h_QD: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, cosines and numbers of each state's records, `(Q, K)`."""
    asked = h_QD, self.count, self.seen, self._where
    hits = self._store.search(self.name, *asked, counted=False)
    place_QK = np.searchsorted(self._seq_N, hits.seq_QK)
    token_QK = self._token_N[np.minimum(place_QK, self.records - 1)]
    token_QK = np.where(hits.seq_QK == NONE, 0, token_QK)
    return token_QK.astype(np.int32), hits.score_QK, hits.seq_QK

  def written(self, seq_L: np.ndarray) -> np.ndarray:
    """When records were written, in seconds since 1970."""
    return self._at_N[np.searchsorted(self._seq_N, seq_L)]


class Reading(NamedTuple):
  """What the flags of a store say.

  Attributes:
    store: a file or an address; empty: no store.
    space: whose records.
    store_count: K, of records that a state finds.
    store_share, store_temperature, store_reach: those of `Mixing`.
  """

  store: str = ''
  space: str = ''
  store_count: int = 8
  store_share: float = Mixing().share
  store_temperature: float = Mixing().temperature
  store_reach: float = Mixing().reach

  @property
  def mixing(self) -> Mixing:
    """How records and model are mixed."""
    return Mixing(self.store_share, self.store_temperature, self.store_reach)

  def check(self) -> None:
    """Requires flags that go together, in their ranges."""
    rule = 'is for a store: name one with --store=FILE'
    require(bool(self.store) or not self.space, 'space', self.space, rule)
    rule = 'must name a space of the store: --space=NAME'
    require(bool(self.space) or not self.store, 'space', self.space, rule)
    count, rule = self.store_count, 'must be at least 1'
    require(count >= 1, 'store_count', count, rule)
    self.mixing.check()

  def describe(self, space: FrozenSpace) -> dict[str, Any]:
    """What a row says of it; an address is shown without who logs in."""
    reach = self.store_reach
    return self._asdict() | {
      'store': self.store.rpartition('@')[2],
      'store_reach': reach if math.isfinite(reach) else 'inf',
      'store_records': space.records,
      'store_fingerprint': space.fingerprint[:12],
    }


@contextlib.contextmanager
def open_space(run: Run, reading: Reading) -> Iterator[FrozenSpace]:
  """The space, whose store is open within.

  Raises:
    ConfigError: as `open_store`, or the space has no record of this model.
  """
  granted = grant('eval', reading.space, 'read')
  exists = reading.store.startswith(ADDRESS) or Path(reading.store).is_file()
  require(exists, 'store', reading.store, 'no such file')
  with open_store(reading.store, granted) as store:
    yield FrozenSpace(run, store, reading.space, reading.store_count)
