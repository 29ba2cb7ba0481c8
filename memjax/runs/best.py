"""Which of several evaluations is the best, of one run or of its replicas.

Of replicas the median is compared: one step is the best for all of them. Were
any replica's own best enough, patience would grow with their number. A median
is that of the replicas which are numbers in the newest evaluation, in every
evaluation before as well, or there is none: a poor one that diverges makes no
new best, a good one leaves no best behind that the others cannot reach.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Figure: TypeAlias = float | list[float]  # of a run, or of each of its replicas


def figures_of(row: Mapping[str, Any]) -> dict[str, Figure]:
  """{'set/metric': figure} of a row of `metrics.jsonl`."""
  found = row['replicas'] if 'replicas' in row else row['metrics']
  return {f'{row["split"]}/{name}': value for name, value in found.items()}


def first_best(figures: Sequence[Figure], best_is: str) -> int | None:
  """The place of the first best figure; None if none is a number.

  Args:
    figures: one metric, an evaluation each, in their order.
    best_is: 'min' or 'max'.
  """
  if not figures:
    return None
  sign = -1 if best_is == 'max' else 1
  one_each = np.broadcast_arrays(*map(np.atleast_1d, figures))
  values_EN = sign * np.array(one_each, float)
  finite_EN = np.isfinite(values_EN)
  measured = np.flatnonzero(finite_EN.any(axis=1))
  if not measured.size:
    return None
  living_N = finite_EN[measured[-1]]
  middle_E = np.median(values_EN[:, living_N], axis=1)
  compared_E = finite_EN[:, living_N].all(axis=1)
  return int(np.argmin(np.where(compared_E, middle_E, np.inf)))
