"""A space as it was: arrays that never change.

What reads a snapshot is a function of its fingerprint: a batch that depends on
one can be made again. Keys are float16, as they are compared: of length 1 with
the metric 'cosine'. `snapshot_files.py` keeps one in files.
"""

from collections.abc import Sequence
import hashlib
from typing import Any, NamedTuple

import numpy as np

from memjax.store.index import normed
from memjax.store.records import Hits, canonical, nothing

PIECE = 1 << 14  # keys that are compared, and sealed, at once
COLUMNS = ('key_ND', 'token_NW', 'seq_N', 'at_N', 'source_N')


class Snapshot(NamedTuple):
  """The records of a range at one moment.

  The columns are arrays, or `snapshot_files.Sealed`, which can be sliced and
  indexed as such.

  Attributes:
    key_ND: float16 keys.
    token_NW: int32, the token ids of the value; -1 after them, or if it has
      none.
    seq_N: int64 numbers.
    at_N: when written.
    source_N: uint64, the first bytes of the hash of the source.
    metric: 'cosine' or 'l2'.
    about: what the keys and values are, in the words of who wrote them.
    saved: the fingerprint, if it is known; else ''.
  """

  key_ND: Any
  token_NW: Any
  seq_N: Any
  at_N: Any
  source_N: Any
  metric: str
  about: str = ''
  saved: str = ''

  @property
  def columns(self) -> dict[str, Any]:
    """The arrays by name."""
    return {name: getattr(self, name) for name in COLUMNS}

  @property
  def fingerprint(self) -> str:
    """A hash of all arrays."""
    if self.saved:
      return self.saved
    digest = hashlib.sha256(canonical([self.metric, self.about]))
    for array in self.columns.values():
      digest.update(canonical([str(array.dtype), list(array.shape)]))
      for at in range(0, len(array), PIECE):
        digest.update(np.ascontiguousarray(array[at : at + PIECE]).tobytes())
    return digest.hexdigest()

  def nearest(
    self,
    query_QD: np.ndarray,
    count: int,
    without: Sequence[np.ndarray] = (),
  ) -> Hits:
    """Places, from 0, of the nearest keys of each query, and their scores.

    Scores are rounded to float32; equal ones are in the order of their places.
    With the metric 'cosine' queries are rounded to float16 as keys are. Sums of
    their products are then exact in float64, so that an answer is the same on
    every machine and for queries in any company.

    Args:
      query_QD: the queries.
      count: K.
      without: for each query, the places that it does not find; () for none.

    Raises:
      Damaged: the snapshot was kept in files, and has ended since.
    """
    query_QD = np.asarray(query_QD, np.float64)
    if self.metric == 'cosine':
      query_QD = normed(query_QD).astype(np.float16).astype(np.float64)
    best = nothing(len(query_QD), count)
    for at in range(0, len(self.key_ND), PIECE):
      key_ND = self.key_ND[at : at + PIECE].astype(np.float64)
      score_QN = query_QD @ key_ND.T
      if self.metric == 'l2':
        score_QN = 2 * score_QN - np.square(key_ND).sum(1)
        score_QN -= np.square(query_QD).sum(1, keepdims=True)
      score_QN = score_QN.astype(np.float32)
      for score_N, hidden in zip(score_QN, without, strict=False):
        inside = hidden[(hidden >= at) & (hidden < at + len(key_ND))]
        score_N[inside - at] = -np.inf
      keep_best(best, score_QN, at)
    return best


def keep_best(best: Hits, score_QN: np.ndarray, at: int) -> None:
  """Adds the scores of a piece that begins at a place to the best so far."""
  count = best.seq_QK.shape[1]
  for query, score_N in enumerate(score_QN):
    least = -np.inf
    if len(score_N) > count:
      least = np.partition(score_N, -count)[-count]
    place = np.flatnonzero((score_N >= least) & np.isfinite(score_N))
    score = np.concatenate([best.score_QK[query], score_N[place]])
    place = np.concatenate([best.seq_QK[query], place + at])
    order = np.argsort(-score, kind='stable')[:count]
    best.seq_QK[query], best.score_QK[query] = place[order], score[order]


def of_arrays(
  key_ND: np.ndarray,
  token_NW: np.ndarray,
  source_N: np.ndarray,
  about: str,
) -> Snapshot:
  """A snapshot of arrays that were never in a store; the metric is 'cosine'."""
  number_N = np.arange(len(key_ND))
  return Snapshot(
    normed(np.asarray(key_ND, np.float32)).astype(np.float16),
    np.asarray(token_NW, np.int32),
    number_N,
    np.zeros(len(key_ND)),
    np.asarray(source_N, np.uint64),
    'cosine',
    about,
  )


def source_number(source: bytes) -> int:
  """The first bytes of the hash of a source, as `Snapshot.source_N` has it."""
  return int.from_bytes(source[:8], 'little')
