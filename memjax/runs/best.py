"""Chooses the best of several evaluations, of one run or of its replicas.

With several replicas, medians are compared, so one step is the best for all of
them. If the best of any replica were enough, patience would grow with their
number. The median is over the replicas that are finite in the newest
evaluation. An earlier evaluation counts only if all of these are finite there
too. So a poor replica that diverges makes no new best, and a good one that
diverges leaves no best that the others cannot reach.

The quorum: an evaluation is the best only if at least half of the replicas are
finite in it. So a median that most seeds no longer reach chooses no step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Figure: TypeAlias = float | list[float]  # of a run, or of each replica


def figures_of(row: Mapping[str, Any]) -> dict[str, Figure]:
  """{'set/metric': figure} of a row of `metrics.jsonl`."""
  figures = row['replicas'] if 'replicas' in row else row['metrics']
  return {f'{row["split"]}/{name}': value for name, value in figures.items()}


def first_best(figures: Sequence[Figure], best_is: str) -> int | None:
  """The index of the first best figure; None if none has a quorum.

  Args:
    figures: one metric at each evaluation, in order.
    best_is: 'min' or 'max'.
  """
  if not figures:
    return None
  sign = -1 if best_is == 'max' else 1
  replicas = np.broadcast_arrays(*map(np.atleast_1d, figures))
  values_EN = sign * np.array(replicas, float)
  finite_EN = np.isfinite(values_EN)
  quorum_E = 2 * finite_EN.sum(axis=1) >= finite_EN.shape[1]
  with_figure = np.flatnonzero(quorum_E)
  if not with_figure.size:
    return None
  finite_N = finite_EN[with_figure[-1]]
  median_E = np.median(values_EN[:, finite_N], axis=1)
  comparable_E = finite_EN[:, finite_N].all(axis=1)
  return int(np.argmin(np.where(comparable_E, median_E, np.inf)))
