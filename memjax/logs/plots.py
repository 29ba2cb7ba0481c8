"""Figures of runs: panels of curves, and what all figures share.

The colours are those of Okabe & Ito, which colour-blind readers can
distinguish. The name of a curve is at its end.
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from memjax.logs.console import format_number
from memjax.logs.headline import SCORES

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

TRAIN = '#7a7a7a'
EVALUATIONS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')
INK, FAINT = '#222222', '#c8c8c8'
UNITS = {
  'bits_per_byte': 'bits per byte',
  'accuracy': 'accuracy, share of labels',
  'recall': 'recall, share of labels',
  'exact_match': 'exact match, share of rows',
}
DASHES = ('-', '--', '-.')
LABEL_GAP = 13.0  # points between the labels of two lines


class Curve(NamedTuple):
  """One line of a panel: a measurement, or a reference value.

  Attributes:
    label: the name at its end.
    colour: TRAIN and INK are for references and are drawn thin.
    x: increasing.
    values: one for each x.
    dash: matplotlib's line style; ':' for references.
    quartiles: first and third quartile for each x, where `values` are medians.
  """

  label: str
  colour: str
  x: Sequence[float]
  values: Sequence[float]
  dash: str = '-'
  quartiles: Sequence[tuple[float, float]] = ()


class Style(NamedTuple):
  """How the curves of one run look, in every figure."""

  colour: str
  dash: str


def style_runs(names: Iterable[str]) -> dict[str, Style]:
  """A style for each run, all different for up to 15 runs."""
  dashes = itertools.cycle(DASHES)
  styles = (Style(c, d) for d in dashes for c in EVALUATIONS)
  return dict(zip(names, styles, strict=False))


def reference_curves(
  values: Mapping[str, float], first: float, last: float
) -> list[Curve]:
  """A dotted horizontal line for each of {name: value}."""
  return [
    Curve(name, INK, [first, last], [value, value], ':')
    for name, value in values.items()
  ]


def draw(
  panels: Mapping[str, Sequence[Curve]],
  xlabel: str,
  xlim: tuple[float, float] | None = None,
  xscale: str = 'linear',
) -> 'Figure':
  """Draws panels below each other; every curve has its name at its end.

  Args:
    panels: {metric: its curves}. The axis of a score reaches from 0 to 1. The
      axis of another metric is logarithmic if its values are positive and
      differ by a factor of 10 or more.
    xlabel: the label of the common horizontal axis.
    xlim: first and last x; None: those of the curves.
    xscale: 'linear', or 'log' for powers of 2.
  """
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  heights = [2.4 if metric in SCORES else 3.4 for metric in panels]
  layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
  figure = Figure(figsize=(8, 0.6 + sum(heights)), layout=layout)
  all_axes = figure.subplots(
    len(panels), sharex=True, squeeze=False, height_ratios=heights
  )[:, 0]
  for axes, (metric, curves) in zip(all_axes, panels.items(), strict=True):
    _draw_panel(axes, metric, curves)
  ends = [x for curves in panels.values() for c in curves for x in c.x]
  all_axes[-1].set_xlabel(xlabel, color=INK)
  if xscale == 'log':
    all_axes[-1].set_xscale('log', base=2)
    all_axes[-1].xaxis.set_major_formatter('{x:g}')
  all_axes[-1].set_xlim(xlim or _limits(ends))
  figure.draw_without_rendering()  # fixes the heights, which place the labels
  for axes, curves in zip(all_axes, panels.values(), strict=True):
    _label_ends(axes, curves)
  return figure


def _limits(ends: Sequence[float]) -> tuple[float, float]:
  """The first and last x; a single x is in the middle."""
  margin = 0.5 if min(ends) == max(ends) else 0
  return min(ends) - margin, max(ends) + margin


def describe(panels: Mapping[str, Sequence[Curve]], xlabel: str) -> str:
  """The figure that `draw` draws, in words."""
  sentences = []
  for metric, curves in panels.items():
    ends = [
      f'{curve.label} {format_number(curve.values[-1])}' for curve in curves
    ]
    sentences.append(
      f'{UNITS.get(metric, metric)} against {xlabel}; '
      f'at the end {", ".join(ends)}.'
    )
  return ' '.join(sentences)


def draw_frame(axes: 'Axes', grid: Literal['x', 'y']) -> None:
  """Faint axes and a faint grid."""
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(FAINT)
  axes.tick_params(which='both', color=FAINT, labelcolor=INK)
  axes.grid(axis=grid, color=FAINT, linewidth=0.5, alpha=0.6)
  axes.set_axisbelow(True)


def _draw_panel(axes: 'Axes', metric: str, curves: Sequence[Curve]) -> None:
  values = [v for curve in curves for v in curve.values if curve.dash != ':']
  if metric in SCORES:
    axes.set_ylim(0, 1)
  elif values and min(values) > 0 and max(values) > 10 * min(values):
    axes.set_yscale('log')
  for curve in curves:
    thin = curve.colour in (TRAIN, INK)
    marked = len(curve.x) <= (1 if thin else 30)
    axes.plot(
      curve.x,
      curve.values,
      curve.dash,
      color=curve.colour,
      linewidth=1.2 if thin else 2,
      marker='o' if marked else None,
      markersize=4,
      clip_on=False,
    )
    if curve.quartiles:
      low, high = zip(*curve.quartiles, strict=True)
      axes.fill_between(
        curve.x, low, high, color=curve.colour, alpha=0.18, linewidth=0
      )
  axes.set_ylabel(UNITS.get(metric, metric), color=INK)
  draw_frame(axes, 'y')


def _label_ends(axes: 'Axes', curves: Sequence[Curve]) -> None:
  """Writes each curve's name and last value at its end."""
  points = 72 / axes.figure.get_dpi()
  heights = [
    float(axes.transData.transform((0, curve.values[-1]))[1]) * points
    for curve in curves
  ]
  floor = float(axes.bbox.ymin) * points
  for curve, height, place in zip(
    curves, heights, spread_labels(heights, LABEL_GAP, floor), strict=True
  ):
    axes.annotate(
      f'{curve.label}  {curve.values[-1]:.3g}',
      (1, curve.values[-1]),
      xycoords=('axes fraction', 'data'),
      xytext=(9, place - height),
      textcoords='offset points',
      color=curve.colour,
      va='center',
      annotation_clip=False,
    )


def spread_labels(
  heights: Sequence[float], gap: float, floor: float = -math.inf
) -> list[float]:
  """Places near these heights, in the same order, at least `gap` apart.

  Each place is the mean of two: one where labels that overlap are pushed up,
  one where they are pushed down. A crowd thus keeps its centre. Places below
  the floor move up to it.
  """
  order = sorted(range(len(heights)), key=lambda i: heights[i])
  up, down = list(heights), list(heights)
  for low, high in itertools.pairwise(order):
    up[high] = max(up[high], up[low] + gap)
  for low, high in reversed(list(itertools.pairwise(order))):
    down[low] = min(down[low], down[high] - gap)
  places = [(u + d) / 2 for u, d in zip(up, down, strict=True)]
  for i in order:
    places[i] = max(places[i], floor)
    floor = places[i] + gap
  return places
