"""The order of a corpus's rows in each epoch."""

import functools

import numpy as np


def shuffled(count: int, *seed: int) -> np.ndarray:
  """A permutation of the numbers below `count`, determined by the seed.

  It sorts the generator's raw bits. NumPy promises not to change those bits.
  """
  bits = np.random.PCG64(seed).random_raw(count)
  return np.argsort(bits, kind='stable')


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


@functools.lru_cache(maxsize=32)
def _order(count: int, *seed: int) -> np.ndarray:
  """The order of one epoch; the 32 latest orders stay in memory."""
  order = shuffled(count, *seed)
  order.flags.writeable = False
  return order
