"""Rows of a tokenised text: streams that go on, or windows."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from memjax.data.order import KEPT, order_documents, shuffled
from memjax.types import Batch


class _Order(NamedTuple):
  """The order of one epoch.

  Attributes:
    starts: `(D,)` where the documents begin in this order, sorted.
    shift: `(D,)` where each begins in the text, less that; None: nowhere else.
    windows: `(W,)` the windows in this order; None: in the text's order.
  """

  starts: np.ndarray
  shift: np.ndarray | None = None
  windows: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TextRows:
  """How one text is cut into rows.

  Label i of an epoch is token i + 1 of its order, so n tokens have n - 1
  labels. With carry_over, row b of B reads stream b, labels b k to
  (b + 1) k - 1 with k = ceil((n - 1) / B), T labels per step. Else rows are
  windows of T labels that start `stride` labels apart; only the last `stride`
  labels of a window have a weight, and all of the first window's.

  Attributes:
    tokens: `(n,)` unsigned integers.
    starts: `(D,)` integers, sorted: where the documents begin; the first is 0.
    length: T, number of tokens that a row reads in a step.
    stride: labels between the starts of windows.
    carry_over: streams; else windows.
    reset_at_documents: whether memory is also reset where a document starts.
    reset_every: number of tokens of a stream after which memory is also reset;
      0: never.
  """

  tokens: np.ndarray
  starts: np.ndarray
  length: int
  stride: int
  carry_over: bool
  reset_at_documents: bool
  reset_every: int = 0

  @property
  def labels(self) -> int:
    """Number of labels of an epoch."""
    return len(self.tokens) - 1

  @property
  def windows(self) -> int:
    """Number of windows of an epoch."""
    return 1 - (self.length - self.labels) // self.stride

  def epoch_steps(self, batch_size: int) -> int:
    """Number of steps in which every label is read once."""
    if self.carry_over:
      return -(-self._stream_labels(batch_size) // self.length)
    return -(-self.windows // batch_size)

  def read(
    self,
    batch_size: int,
    step_R: np.ndarray,
    row_R: np.ndarray,
    seed: tuple[int, ...] = (),
  ) -> Batch:
    """R rows, each at a step of its own.

    Args:
      batch_size: B, number of streams, or of windows in a step.
      step_R: `(R,)` steps from 0, across epochs.
      row_R: `(R,)` integers in [0, B).
      seed: seeds the order of each epoch: of the documents with carry_over, of
        the windows without. If empty, the order is the text's own.

    Returns:
      Inputs, targets, weights and resets, each `(R, T)`. Positions after the
      end of a stream or of the text read token 0 and have weight 0.
    """
    epoch_R, at_R = np.divmod(step_R, self.epoch_steps(batch_size))
    if not seed:
      return self._read(batch_size, at_R, row_R, _Order(self.starts))
    parts, chosen = [], []
    for epoch in np.unique(epoch_R).tolist():
      rows = np.flatnonzero(epoch_R == epoch)
      order = self._order_of(*seed, epoch)
      parts.append(self._read(batch_size, at_R[rows], row_R[rows], order))
      chosen.append(rows)
    return join_rows(parts, chosen)

  def label_documents(
    self, batch_size: int, step: int, row_R: np.ndarray
  ) -> np.ndarray:
    """`(R, T)` number of each label's document, in the text's own order."""
    at_R1 = np.full((len(row_R), 1), step % self.epoch_steps(batch_size))
    first_R1, _, _ = self._spans(batch_size, at_R1, row_R[:, None], None)
    label_RT = first_R1 + np.arange(self.length)
    return np.searchsorted(self.starts, label_RT + 1, side='right') - 1

  def _read(
    self, batch_size: int, at_R: np.ndarray, row_R: np.ndarray, order: _Order
  ) -> Batch:
    first_R1, weighted_R1, end_R1 = self._spans(
      batch_size, at_R[:, None], row_R[:, None], order.windows
    )
    place = first_R1 + np.arange(self.length + 1)  # (R, T + 1), in the order
    label_RT = place[:, :-1]
    inside_RT = label_RT < np.minimum(end_R1, self.labels)
    weighted_RT = inside_RT & (label_RT >= weighted_R1)
    place = np.minimum(place, self.labels)
    reset_RT, in_text = np.zeros(label_RT.shape, bool), place
    if self.reset_at_documents or order.shift is not None:
      document = np.searchsorted(order.starts, place, side='right') - 1
      if order.shift is not None:
        in_text = place + order.shift[document]
      if self.reset_at_documents:
        reset_RT = (order.starts[document] == place)[:, :-1] & inside_RT
    reset_RT[:, 0] |= (at_R == 0) | (not self.carry_over)
    if self.reset_every:
      in_stream = at_R[:, None] * self.length + np.arange(self.length)
      reset_RT |= in_stream % self.reset_every == 0
    tokens = self.tokens[in_text]
    return Batch(
      np.where(inside_RT, tokens[:, :-1], 0).astype(np.int32),
      np.where(weighted_RT, tokens[:, 1:], 0).astype(np.int32),
      weighted_RT.astype(np.float32),
      reset_RT,
    )

  def _spans(
    self,
    batch_size: int,
    at: np.ndarray,
    row: np.ndarray,
    windows: np.ndarray | None,
  ) -> tuple[np.ndarray, ...]:
    """Each row's first label, its first with a weight, and its end."""
    if self.carry_over:
      labels = self._stream_labels(batch_size)
      first = row * labels + at * self.length
      return first, first, (row + 1) * labels
    window = at * batch_size + row
    if windows is not None:
      last = window < self.windows  # the others pad the epoch's last step
      window[last] = windows[window[last]]
    first = window * self.stride
    old = np.where(window == 0, 0, self.length - self.stride)
    return first, first + old, first + self.length

  def _stream_labels(self, batch_size: int) -> int:
    return -(-self.labels // batch_size)

  @functools.cached_property
  def _order_of(self) -> 'functools._lru_cache_wrapper[_Order]':
    """The order of the epoch that the integers seed; the latest stay."""

    def order_of(*seed: int) -> _Order:
      if self.carry_over:
        starts, shift = order_documents(self.starts, len(self.tokens), *seed)
        return _Order(starts, shift)
      return _Order(self.starts, windows=shuffled(self.windows, *seed))

    return functools.lru_cache(KEPT)(order_of)


def join_rows(parts: Sequence[Batch], places: Sequence[np.ndarray]) -> Batch:
  """One batch; row i of a part is row places[i] of the batch."""
  order = np.argsort(np.concatenate(places))
  fields = zip(*(part[:4] for part in parts), strict=True)
  return Batch(*(np.concatenate(field)[order] for field in fields))
