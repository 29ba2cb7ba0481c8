"""Several runs in one plot and one table; several replicas as a median."""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import TypeVar

import numpy as np

from memjax.analysis.base import Result
from memjax.analysis.dot_plot import Dot
from memjax.analysis.section import LinePlot, Table
from memjax.logs.console import format_number
from memjax.logs.plots import Curve

T = TypeVar('T')
QUARTILES = (0.25, 0.5, 0.75)
MISSING = '—'
SPACE = '\N{NO-BREAK SPACE}'


def median_curve(run: str, x: np.ndarray, values_NX: np.ndarray) -> Curve:
  """The median over replicas, with quartiles, at the x where all are finite."""
  finite_X = np.isfinite(values_NX).all(axis=0)
  low, middle, high = np.quantile(values_NX[:, finite_X], QUARTILES, axis=0)
  several = len(values_NX) > 1
  return Curve(
    run,
    '',
    x[finite_X].tolist(),
    middle.tolist(),
    quartiles=list(zip(low, high, strict=True)) if several else (),
  )


def median_dot(category: str, values_N: np.ndarray) -> Dot:
  """The median over replicas, with quartiles."""
  low, middle, high = np.quantile(values_N, QUARTILES).tolist()
  return Dot(category, middle, low, high)


def panels(
  results: Mapping[str, Result[T]],
  curves: Callable[[T], Mapping[str, tuple[np.ndarray, np.ndarray]]],
) -> dict[str, list[Curve]]:
  """{metric: a curve for each run}.

  Args:
    results: {run: its result}.
    curves: makes of a result's arrays {metric: (x, `(N, X)` values)}.
  """
  found: dict[str, list[Curve]] = {}
  for run, result in results.items():
    for metric, (x, values_NX) in curves(result.arrays).items():
      curve = median_curve(run, x, values_NX)
      if curve.x:
        found.setdefault(metric, []).append(curve)
  return found


def line_plots(
  curves: Mapping[str, Sequence[Curve]], xlabel: str, xscale: str = 'linear'
) -> list[LinePlot]:
  """One plot of the panels, or none if there are no panels."""
  return [LinePlot(curves, xlabel, xscale=xscale)] if curves else []


def format_median(values_N: np.ndarray, most: float = math.inf) -> str:
  """The median over replicas and, if they differ, its quartiles.

  Replicas without a finite number are left out. '—' if none has one.

  Args:
    values_N: figures, or integers, which have no decimals.
    most: the largest value that could be measured, shown as '≥ most'.
  """
  numbers = values_N[np.isfinite(values_N)]
  if not numbers.size:
    return MISSING
  infinite = int(np.isinf(values_N).sum())
  whole = np.issubdtype(values_N.dtype, np.integer)

  def text(value: float) -> str:
    if value >= most:
      return f'≥ {most:,.4g}'
    if whole:
      return f'{value:,.10g}'
    return f'{value:,.0f}' if 1e4 <= value < 1e7 else format_number(value)

  low, middle, high = np.quantile(numbers, QUARTILES)
  cell = text(middle)
  if low != high:
    cell += f' ({text(low)} to {text(high)})'
  if infinite:
    cell += f', {infinite} not finite'
  return cell.replace(' ', SPACE)


def run_table(cells: Mapping[str, Mapping[str, str]], caption: str) -> Table:
  """A table with a column for each run, from {run: {row: cell}}."""
  rows = dict.fromkeys(row for of in cells.values() for row in of)
  body = [[r, *(of.get(r, MISSING) for of in cells.values())] for r in rows]
  return Table(['', *cells], body, caption)
