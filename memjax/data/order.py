"""The order of a corpus's rows in each epoch."""

from collections.abc import Iterable
import functools

import numpy as np

ORDERS = ('as_is', 'shuffled')
KEPT = 32  # orders of epochs that stay in memory; each replica needs one


def shuffled(count: int, *seed: int) -> np.ndarray:
  """A permutation of the numbers below `count`, determined by the seed.

  It sorts the generator's raw bits. NumPy promises not to change those bits.
  """
  bits = np.random.PCG64(seed).random_raw(count)
  return np.argsort(bits, kind='stable')


def order_documents(
  starts: np.ndarray, size: int, *seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """The documents of a text in an order that the seed determines.

  Args:
    starts: `(D,)` sorted integers, where the documents begin; the first is 0.
    size: where the last document ends.
    *seed: see `shuffled`.

  Returns:
    `(D,)` where the documents begin in the new order, sorted, and `(D,)` where
    each of them begins in the text, less that.
  """
  order = shuffled(len(starts), *seed)
  sizes = np.diff(starts, append=size)[order]
  begins = np.cumsum(sizes) - sizes
  return begins, starts[order] - begins


def rows_of_step(
  count: int,
  batch_size: int,
  step: int,
  row_ids: np.ndarray,
  seed: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """The rows of a corpus that a step reads; an epoch reads each row once.

  Args:
    count: number of rows of the corpus; an epoch has
      ceil(count / batch_size) steps.
    batch_size: number of rows of a step.
    step: counted from 0, across epochs.
    row_ids: `(R,)` integers in [0, batch_size).
    seed: seeds the order of each epoch. If empty, rows keep their own order.

  Returns:
    `(R,)` numbers below `count`, and a bool mask `(R,)`. The last step of an
    epoch is padded with row 0; the mask is False for padding.
  """
  epoch, at = divmod(step, -(-count // batch_size))
  place_R = at * batch_size + row_ids.astype(np.int64)
  valid_R = place_R < count
  row_R = np.where(valid_R, place_R, 0)
  if seed:
    row_R = np.where(valid_R, _order(count, *seed, epoch)[row_R], 0)
  return row_R, valid_R


def take_rows(
  arrays: Iterable[np.ndarray],
  batch_size: int,
  step: int,
  row_ids: np.ndarray,
  seed: tuple[int, ...],
) -> list[np.ndarray]:
  """The rows of a step, `(R, ...)` of each array; rows of padding are zeros.

  Args:
    arrays: a corpus's rows, each `(count, ...)`.
    batch_size: see `rows_of_step`, as the others.
    step: counted from 0, across epochs.
    row_ids: `(R,)` integers in [0, batch_size).
    seed: seeds the order of each epoch.
  """
  arrays = list(arrays)
  count = len(arrays[0])
  row_R, real_R = rows_of_step(count, batch_size, step, row_ids, seed)
  taken = [array[row_R] for array in arrays]
  for array in taken:
    array[~real_R] = 0
  return taken


@functools.lru_cache(KEPT)
def _order(count: int, *seed: int) -> np.ndarray:
  """The order of one epoch."""
  order = shuffled(count, *seed)
  order.flags.writeable = False
  return order
