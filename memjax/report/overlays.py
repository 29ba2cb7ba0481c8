"""Instruments of several runs in one picture, and their figures in a table."""

from collections.abc import Callable, Iterable, Sequence
import inspect
import re
from types import ModuleType
from typing import TypeVar

import numpy as np

from memjax.logs.console import number
from memjax.logs.plots import Curve
from memjax.report.runs import Subject

T = TypeVar('T')
QUARTILES = (0.25, 0.5, 0.75)
BETWEEN = r'\n\n|\n(?=(?:Paper|Units?|Definition|Deviations): )'


def words(*modules: ModuleType) -> str:
  """The modules' docstrings; what is set in by spaces keeps its lines."""
  said = '\n\n'.join(inspect.getdoc(module) or '' for module in modules)
  return '\n\n'.join(map(_paragraph, re.split(BETWEEN, said)))


def _paragraph(text: str) -> str:
  return text if text.startswith('  ') else ' '.join(text.split())


def overlay(
  shown: Sequence[tuple[Subject, T]],
  curve: Callable[[T], tuple[str, np.ndarray, np.ndarray]],
) -> dict[str, list[Curve]]:
  """Panels of one curve a run.

  Args:
    shown: what was measured.
    curve: makes of it a metric, `(X,)` and `(N, X)`.
  """
  panels: dict[str, list[Curve]] = {}
  for subject, found in shown:
    metric, x, values_NX = curve(found)
    drawn = band(subject, x, values_NX)
    if drawn.x:
      panels.setdefault(metric, []).append(drawn)
  return panels


def band(subject: Subject, x: np.ndarray, values_NX: np.ndarray) -> Curve:
  """The median over replicas and its quartiles, where it is a number."""
  there = np.isfinite(values_NX).all(axis=0)
  low, middle, high = np.quantile(values_NX[:, there], QUARTILES, axis=0)
  several = len(values_NX) > 1
  return Curve(
    subject.name,
    subject.colour,
    x[there].tolist(),
    middle.tolist(),
    subject.style,
    list(zip(low, high, strict=True)) if several else (),
  )


def said(values_N: np.ndarray) -> str:
  """The median over replicas and, of several, its quartiles; — of none."""
  there = values_N[~np.isnan(values_N)]
  if not there.size:
    return '—'
  finite = bool(np.isfinite(there).all())
  low, middle, high = np.quantile(
    there, QUARTILES, method='linear' if finite else 'inverted_cdf'
  )
  if low == high:
    return number(middle)
  text = f'{number(middle)} ({number(low)} to {number(high)})'
  return text.replace(' ', '\N{NO-BREAK SPACE}')


def columns(
  shown: Iterable[tuple[Subject, dict[str, str]]],
) -> tuple[list[str], list[list[str]]]:
  """Head and rows of a table with a column a run, from {row: cell} of each."""
  cells = {subject.name: of for subject, of in shown}
  rows = dict.fromkeys(row for of in cells.values() for row in of)
  head = ['', *cells]
  return head, [[r, *(of.get(r, '—') for of in cells.values())] for r in rows]
