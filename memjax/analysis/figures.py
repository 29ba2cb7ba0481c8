"""Pictures of a run, drawn from the rows of its `metrics.jsonl`.

Colours are those of Okabe & Ito, told apart by colour-blind readers too.
Curves carry their names at their ends.
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
  from matplotlib.axes import Axes

Row = Mapping[str, Any]

TRAIN = '#7a7a7a'
EVALUATIONS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')
INK, FAINT = '#222222', '#c8c8c8'
UNITS = {
  'bits_per_byte': 'bits per byte',
  'accuracy': 'accuracy, share of labels',
  'recall': 'recall, share of labels',
  'solved': 'solved, share of rows',
}
SCORES = ('recall', 'accuracy', 'solved')
LABEL_GAP = 13.0  # points between the labels of two lines


class Curve(NamedTuple):
  """One line of a panel: a metric of a split, or a value to compare with."""

  label: str
  colour: str
  steps: list[int]
  values: list[float]
  style: str = '-'
  quartiles: Sequence[tuple[float, float]] = ()


def learning_curve(
  rows: Sequence[Row],
  baselines: Mapping[str, Mapping[str, float]],
  path: Path,
  along: str = 'training step',
) -> None:
  """Draws what was learned, step by step, as a PNG.

  Above, bits per byte where there are any, else the loss; below, the share of
  right answers where there is one. Values that are no numbers are left out. The
  curves of a run of replicas are medians, with the quartiles as a band.

  Args:
    rows: a run's rows, {'step', 'split', 'metrics'}, perhaps 'quartiles'.
    baselines: {metric: {name: value}} to draw as dotted lines.
    path: where to write.
    along: what the rows' steps count.
  """
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  names = {name for row in rows for name in row['metrics']}
  panels = ['bits_per_byte' if 'bits_per_byte' in names else 'loss']
  panels += [name for name in SCORES if name in names][:1]
  heights = [3.4, 2.4][: len(panels)]
  layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
  figure = Figure(figsize=(8, 0.6 + sum(heights)), layout=layout)
  all_axes = figure.subplots(
    len(panels), sharex=True, squeeze=False, height_ratios=heights
  )[:, 0]
  last = max([1, *(row['step'] for row in rows)])
  drawn = []
  for axes, metric in zip(all_axes, panels, strict=True):
    references = [
      Curve(name, INK, [0, last], [value, value], ':')
      for name, value in baselines.get(metric, {}).items()
    ]
    curves = [*references, *_curves(rows, metric)]
    _draw_panel(axes, metric, curves)
    drawn.append((axes, curves))
  all_axes[-1].set(xlabel=along, xlim=(0, last))
  figure.draw_without_rendering()  # fixes the heights that labels go by
  for axes, curves in drawn:
    _label_ends(axes, curves)
  figure.savefig(path, dpi=150)


def _curves(rows: Sequence[Row], metric: str) -> Iterable[Curve]:
  """Training first, so that evaluations are drawn over it."""
  splits = dict.fromkeys(['train', *(row['split'] for row in rows)])
  for i, split in enumerate(splits):
    there = [
      row
      for row in rows
      if row['split'] == split
      and math.isfinite(row['metrics'].get(metric, math.nan))
    ]
    if there:
      colour = EVALUATIONS[(i - 1) % len(EVALUATIONS)] if i else TRAIN
      steps = [row['step'] for row in there]
      values = [row['metrics'][metric] for row in there]
      band = [tuple(r['quartiles'][metric]) for r in there if 'quartiles' in r]
      yield Curve(split, colour, steps, values, quartiles=band)


def _draw_panel(axes: 'Axes', metric: str, curves: Sequence[Curve]) -> None:
  values = [v for curve in curves for v in curve.values if curve.style == '-']
  if metric in SCORES:
    axes.set_ylim(0, 1)
  elif values and min(values) > 0 and max(values) > 10 * min(values):
    axes.set_yscale('log')
  for curve in curves:
    thin = curve.colour in (TRAIN, INK)
    few = len(curve.steps) <= (1 if thin else 30)
    axes.plot(
      curve.steps,
      curve.values,
      curve.style,
      color=curve.colour,
      linewidth=1.2 if thin else 2,
      marker='o' if few else None,
      markersize=4,
      clip_on=False,
    )
    if curve.quartiles:
      low, high = zip(*curve.quartiles, strict=True)
      axes.fill_between(
        curve.steps, low, high, color=curve.colour, alpha=0.18, linewidth=0
      )
  axes.set_ylabel(UNITS.get(metric, metric), color=INK)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(FAINT)
  axes.tick_params(which='both', color=FAINT, labelcolor=INK)
  axes.grid(axis='y', color=FAINT, linewidth=0.5, alpha=0.6)
  axes.set_axisbelow(True)


def _label_ends(axes: 'Axes', curves: Sequence[Curve]) -> None:
  """Writes each curve's name and last value beside its end."""
  points = 72 / axes.figure.get_dpi()
  heights = [
    float(axes.transData.transform((0, curve.values[-1]))[1]) * points
    for curve in curves
  ]
  for curve, height, place in zip(
    curves, heights, spread(heights, LABEL_GAP), strict=True
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


def spread(heights: Sequence[float], gap: float) -> list[float]:
  """Places near these heights, in their order, no two closer than the gap.

  Halfway between the places when all are pushed up and when all are pushed
  down, which keeps a crowd where it was.
  """
  order = sorted(range(len(heights)), key=lambda i: heights[i])
  up, down = list(heights), list(heights)
  for low, high in itertools.pairwise(order):
    up[high] = max(up[high], up[low] + gap)
  for low, high in reversed(list(itertools.pairwise(order))):
    down[low] = min(down[low], down[high] - gap)
  return [(u + d) / 2 for u, d in zip(up, down, strict=True)]
