"""What each run remembers: a section for each instrument of `analysis`.

An instrument's own words, the docstring of its module, stand below what it
shows.
"""

from collections.abc import Sequence
import inspect
from types import ModuleType

import numpy as np

from memjax.analysis import curves
from memjax.analysis.figures import SCORES, Curve
from memjax.report.page import Section
from memjax.report.pictures import lines
from memjax.report.subjects import Subject, measured
from memjax.tasks.base import GeneratedTask

QUARTILES = (0.25, 0.5, 0.75)


def words(module: ModuleType) -> str:
  """The module's docstring, a line for each paragraph."""
  said = inspect.getdoc(module) or ''
  return '\n\n'.join(' '.join(p.split()) for p in said.split('\n\n'))


def band(
  subject: Subject, x: np.ndarray, values_NX: np.ndarray, label: str = ''
) -> Curve:
  """The median over replicas and its quartiles, where it is a number."""
  there = np.isfinite(values_NX).all(axis=0)
  low, middle, high = np.quantile(values_NX[:, there], QUARTILES, axis=0)
  several = len(values_NX) > 1
  return Curve(
    label or subject.name,
    subject.colour,
    x[there].tolist(),
    middle.tolist(),
    subject.style,
    list(zip(low, high, strict=True)) if several else (),
  )


def by_extent(subjects: Sequence[Subject]) -> Section:
  """The score by distance or length."""
  shown, notes = measured(subjects, _curve)
  panels: dict[str, list[Curve]] = {}
  for subject, found in shown:
    middles = (found.edges[:-1] + found.edges[1:] - 1) / 2
    metric = next((m for m in SCORES if m in found.metrics), 'loss')
    drawn = band(subject, middles, found.metrics[metric])
    panels.setdefault(metric, []).append(drawn)
  extents = dict.fromkeys(found.extent for _, found in shown)
  pictures = [lines(panels, ' or '.join(extents))] if panels else []
  return Section('By distance or length', words(curves), pictures, notes=notes)


def _curve(subject: Subject) -> curves.Curve:
  task = subject.experiment.task
  curves.require_extents(task)
  assert isinstance(task, GeneratedTask)
  return curves.curve(
    subject.run.model, subject.params_N, task, curves.bins(task)
  )
