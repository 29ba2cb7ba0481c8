"""Exact search over the keys of one space, as arrays in this process.

    score = q · k / |q| |k|    'cosine'
    score = -|q - k|^2         'l2'

Candidates are found by products of float32, in pieces that stay small, and
scored again in float64. Where the bound on the rounding of a product leaves a
doubt that another key is as near, all keys are scored in float64. Equal scores,
as float32, are in the order of their numbers. So an answer depends on the
records alone.
A key needs its own bytes, 4 D, and 32 more.
"""

import numpy as np

from memjax.store.records import NONE, Hits, Range, Where, nothing

METRICS = ('cosine', 'l2')
SCORES = 1 << 22  # computed at once
SPARE = 16  # candidates beyond those asked for, against round-off


class Index:
  """Keys, and what decides whether a reader may see them."""

  def __init__(self, width: int, metric: str):
    self.width, self.metric, self.epoch = width, metric, 0
    self.end = self._count = 0
    self._center_D = np.zeros(width, np.float32)
    self._tags: list[str] = ['']
    self._number_of_tags = {'': 0}
    self._columns: tuple[np.ndarray, ...] = (
      np.zeros((0, width), np.float32),
      np.zeros(0, np.float32),  # half the squared length of l2
      np.zeros(0, np.int64),
      np.zeros(0, np.float64),
      np.zeros(0, np.float64),
      np.zeros(0, np.int32),
    )

  def add(
    self, seqs: list[int], keys: bytes, times: list[tuple[float, float, str]]
  ) -> None:
    """Adds records.

    Args:
      seqs: their numbers, above all before.
      keys: float32 bytes of all keys.
      times: when written, when it expires, and the tags of each.
    """
    key_ND = np.frombuffer(keys, '<f4').reshape(-1, self.width)
    if not self._count and self.metric == 'l2':
      self._center_D = key_ND.mean(0)
    key_ND = self._placed(key_ND)
    for tags in {tags for _, _, tags in times} - self._number_of_tags.keys():
      self._number_of_tags[tags] = len(self._tags)
      self._tags.append(tags)
    new = (
      key_ND,
      0.5 * np.einsum('nd,nd->n', key_ND, key_ND),
      np.array(seqs, np.int64),
      np.array([at for at, _, _ in times]),
      np.array([expires for _, expires, _ in times]),
      np.array([self._number_of_tags[tags] for _, _, tags in times], np.int32),
    )
    count = self._count + len(seqs)
    if count > len(self._columns[2]):
      room = max(count, len(self._columns[2]) * 5 // 4)
      self._columns = tuple(grown(old, room) for old in self._columns)
    for column, values in zip(self._columns, new, strict=True):
      column[self._count : count] = values
    self._count = count

  def keep(self, seq_N: np.ndarray) -> None:
    """Drops all records but these."""
    stays = np.isin(self._columns[2][: self._count], seq_N)
    self._columns = tuple(c[: self._count][stays] for c in self._columns)
    self._count = int(stays.sum())

  def search(
    self,
    query_QD: np.ndarray,
    count: int,
    seen: Range,
    now: float,
    where: Where,
  ) -> Hits:
    """The `count` records of a range that are nearest to each query."""
    query_QD = self._placed(np.asarray(query_QD, np.float32))
    seq_N = self._columns[2][: self._count]
    low, high = np.searchsorted(seq_N, [seen.begin, seen.end])
    visible = np.flatnonzero(self._visible(low, high, now, where)) + low
    if not len(visible):
      return nothing(len(query_QD), count)
    place_QC, least_Q = self._candidates(query_QD, count + SPARE, visible)
    hits, last_Q = self._ranked(query_QD, place_QC, count)
    for query in np.flatnonzero(last_Q - self._doubt(query_QD) < least_Q):
      self._rank_all(query_QD[query], visible, count, hits, int(query))
    return hits

  def arrays(self, seen: Range, now: float) -> tuple[np.ndarray, ...]:
    """Keys, numbers and times of the records of a range."""
    low, high = np.searchsorted(
      self._columns[2][: self._count], [seen.begin, seen.end]
    )
    chosen = self._visible(low, high, now, Where())
    key, _, seq, at, *_ = (c[low:high][chosen] for c in self._columns)
    return key + self._center_D, seq, at

  def _placed(self, x_ND: np.ndarray) -> np.ndarray:
    """Vectors as they are compared: of length 1, or as near to 0 as can be.

    The products of vectors far from 0 leave more doubts.
    """
    return normed(x_ND) if self.metric == 'cosine' else x_ND - self._center_D

  def _visible(
    self, low: int, high: int, now: float, where: Where
  ) -> np.ndarray:
    seq, at, expires, tags = (c[low:high] for c in self._columns[2:])
    visible = ((expires == 0) | (expires > now)) & (at >= where.since)
    if where.before:
      visible &= at < where.before
    if where.tags:
      fits = [all(f' {t} ' in had for t in where.tags) for had in self._tags]
      visible &= np.array(fits)[tags]
    if where.seqs is not None:
      visible &= np.isin(seq, where.seqs)
    return visible

  def _doubt(self, query_QD: np.ndarray) -> np.ndarray:
    """The most that a product of float32 is off, and its order as float32."""
    length_Q = np.linalg.norm(query_QD.astype(np.float64), axis=1)
    longest = np.sqrt(2 * float(self._columns[1][: self._count].max()))
    unit = float(np.finfo(np.float32).eps)
    return (self.width + 4) * unit * (length_Q + longest) * longest

  def _candidates(
    self, query_QD: np.ndarray, count: int, visible: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Places of likely neighbours, and the least product of all others.

    Returns:
      `(Q, C)` places, -1 where there are too few, and `(Q,)` the most that the
      product of another key is, -inf where there is none.
    """
    queries = len(query_QD)
    place_QC = np.full((queries, count), NONE)
    score_QC = np.full((queries, count), -np.inf, np.float32)
    piece = max(SCORES // max(queries, 1), count)
    whole = len(visible) == visible[-1] - visible[0] + 1
    for at in range(0, len(visible), piece):
      places = visible[at : at + piece]
      rows = slice(places[0], places[-1] + 1) if whole else places
      score_QN = query_QD @ self._columns[0][rows].T
      if self.metric == 'l2':
        score_QN -= self._columns[1][rows]
      score_QN = np.concatenate([score_QC, score_QN], 1)
      best = np.argpartition(-score_QN, count - 1, 1)[:, :count]
      place_QN = np.concatenate([place_QC, np.tile(places, (queries, 1))], 1)
      place_QC = np.take_along_axis(place_QN, best, 1)
      score_QC = np.take_along_axis(score_QN, best, 1)
    others = len(visible) > count
    least_Q = score_QC.min(1) if others else np.full(queries, -np.inf)
    return np.where(np.isfinite(score_QC), place_QC, NONE), least_Q

  def _exact(self, query_QD: np.ndarray, key_QCD: np.ndarray) -> np.ndarray:
    """Scores in float64."""
    query_Q1D = query_QD[:, None].astype(np.float64)
    if self.metric == 'cosine':
      return np.einsum('qcd,qcd->qc', key_QCD.astype(np.float64), query_Q1D)
    return -np.square(key_QCD - query_Q1D).sum(-1)

  def _ranked(
    self, query_QD: np.ndarray, place_QC: np.ndarray, count: int
  ) -> tuple[Hits, np.ndarray]:
    """The best of these places, and the product of the last of them."""
    none_QC = place_QC == NONE
    score_QC = self._exact(query_QD, self._columns[0][place_QC])
    score_QC = np.where(none_QC, -np.inf, score_QC)
    seq_QC = np.where(none_QC, NONE, self._columns[2][place_QC])
    order = np.lexsort((seq_QC, -score_QC.astype(np.float32)))[:, :count]
    seq_QK = np.take_along_axis(seq_QC, order, 1)
    score_QK = np.take_along_axis(score_QC, order, 1)
    last_Q = score_QK[:, -1]
    if self.metric == 'l2':
      square_Q = np.square(query_QD.astype(np.float64)).sum(1)
      last_Q = 0.5 * (last_Q + square_Q)
    return Hits(seq_QK, score_QK.astype(np.float32)), last_Q

  def _rank_all(
    self,
    query_D: np.ndarray,
    visible: np.ndarray,
    count: int,
    hits: Hits,
    query: int,
  ) -> None:
    """Writes one query's hits, from the exact scores of all visible keys."""
    pieces = np.array_split(visible, -(-len(visible) * self.width // SCORES))
    keys = self._columns[0]
    score_N = np.concatenate(
      [self._exact(query_D[None], keys[piece][None])[0] for piece in pieces]
    ).astype(np.float32)
    best_K = np.argsort(-score_N, kind='stable')[:count]
    hits.seq_QK[query, : len(best_K)] = self._columns[2][visible[best_K]]
    hits.score_QK[query, : len(best_K)] = score_N[best_K]


def normed(x_ND: np.ndarray) -> np.ndarray:
  """Vectors of length 1; 0 stays 0."""
  length_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
  return x_ND / np.maximum(length_N1, np.finfo(np.float32).tiny)


def grown(old: np.ndarray, room: int) -> np.ndarray:
  """The array with room for more rows."""
  new = np.zeros((room, *old.shape[1:]), old.dtype)
  new[: len(old)] = old
  return new
