"""Chunks of a text by their neighbours and by what they are equal to."""

from collections.abc import Callable
import functools
import hashlib

import numpy as np

from memjax.errors import require
from memjax.store.records import NONE
from memjax.store.snapshot import Snapshot, source_number


class ChunkDatabase:
  """A snapshot whose records are chunks; their sources are their tokens."""

  def __init__(self, snapshot: Snapshot):
    self.snapshot, self.size = snapshot, len(snapshot.seq_N)

  def find(
    self,
    token_RCM: np.ndarray,
    count: int,
    keys: Callable[[np.ndarray], np.ndarray] | None,
  ) -> np.ndarray:
    """Places `(R, C - 1, K)` of the neighbours of chunks, without their row's.

    Args:
      token_RCM: R rows of C chunks; nothing is asked for the last one.
      count: K.
      keys: makes the keys of chunks; None: any chunks, a function of the chunk.

    Raises:
      ConfigError: there are too few chunks.
    """
    sources = [[chunk_number(chunk) for chunk in row] for row in token_RCM]
    hidden = [self._equal(numbers) for numbers in sources]
    left = self.size - max(map(len, hidden))
    rule = f'has {left} chunks that are not of the row'
    require(left >= count, 'neighbours', count, rule)
    asked = [
      (number, own)
      for numbers, own in zip(sources, hidden, strict=True)
      for number in numbers[:-1]
    ]
    shape = len(token_RCM), token_RCM.shape[1] - 1, count
    if keys is None:
      drawn = [self._draw(number, own, count) for number, own in asked]
      return np.stack(drawn).reshape(shape)
    query_QD = keys(token_RCM[:, :-1].reshape(-1, token_RCM.shape[2]))
    without = [own for _, own in asked]
    hits = self.snapshot.nearest(query_QD, count, without)
    assert (hits.seq_QK != NONE).all()
    return hits.seq_QK.reshape(shape)

  @functools.cached_property
  def _by_source(self) -> tuple[np.ndarray, np.ndarray]:
    """Sources in order, and their places."""
    source_N = self.snapshot.source_N[:]
    order = np.argsort(source_N, kind='stable')
    return source_N[order], order

  def _equal(self, sources: list[int]) -> np.ndarray:
    """Places of the chunks that are equal to one of a row's."""
    of_sources, places = self._by_source
    asked = np.array(sources, np.uint64)
    begins = np.searchsorted(of_sources, asked, 'left')
    ends = np.searchsorted(of_sources, asked, 'right')
    found = [places[a:b] for a, b in zip(begins, ends, strict=True)]
    return np.unique(np.concatenate(found))

  def _draw(self, number: int, own: np.ndarray, count: int) -> np.ndarray:
    """Places of any chunks, a function of the chunk that is asked for."""
    rng = np.random.default_rng(number)
    size = min(count + len(own), self.size)
    drawn = rng.choice(self.size, size, replace=False)
    return drawn[~np.isin(drawn, own)][:count]


def chunk_source(token_M: np.ndarray) -> str:
  """The text of a chunk as the source of its record: its ids."""
  return ' '.join(map(str, token_M.tolist()))


def chunk_number(token_M: np.ndarray) -> int:
  """What `Snapshot.source_N` has of a chunk."""
  return source_number(hashlib.sha256(chunk_source(token_M).encode()).digest())
