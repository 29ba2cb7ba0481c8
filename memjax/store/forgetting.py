"""Which records to forget: the expired, the oldest, the least read.

Functions from what an engine says of its records to the numbers to remove.
"""

import numpy as np

from memjax.errors import nearest, require
from memjax.store.engine import Usage

ORDERS = ('oldest', 'least_read')


def expired(usage: Usage, now: float) -> np.ndarray:
  """The records whose time is over."""
  over = (usage.expires_N > 0) & (usage.expires_N <= now)
  return usage.seq_N[over]


def beyond(
  usage: Usage, order: str, records: int = 0, size: int = 0
) -> np.ndarray:
  """The records to remove so that the rest keeps within a budget.

  Args:
    usage: of the space.
    order: 'oldest': the first written go first. 'least_read': those found the
      least often go first, and among them the first written.
    records: the most that stay; 0: no bound.
    size: the most bytes of keys and payloads that stay; 0: no bound.

  Raises:
    ConfigError: there is no bound, one is negative, or the order is unknown.
  """
  rule = f'unknown; {nearest(order, ORDERS)}'
  require(order in ORDERS, 'store.order', order, rule)
  bounded = min(records, size) >= 0 and max(records, size) > 0
  rule = 'give the most records or the most bytes that stay'
  require(bounded, 'store.budget', (records, size), rule)
  reads_N = usage.reads_N if order == 'least_read' else np.zeros(1)
  stays_N = np.lexsort(
    (usage.seq_N, np.broadcast_to(reads_N, usage.seq_N.shape))
  )
  stays_N = stays_N[::-1]  # the last to go first
  fits_N = np.ones(len(stays_N), bool)
  if records:
    fits_N[records:] = False
  if size:
    fits_N &= np.cumsum(usage.bytes_N[stays_N]) <= size
  return np.sort(usage.seq_N[stays_N[~fits_N]])
