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
  from matplotlib.figure import Figure

Row = Mapping[str, Any]

TRAIN = '#7a7a7a'
EVALUATIONS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')
INK, FAINT = '#222222', '#c8c8c8'
UNITS = {
  'bits_per_byte': 'bits per byte',
  'accuracy': 'accuracy, share of labels',
  'recall': 'recall, share of labels',
  'exact_match': 'solved, share of rows',
}
SCORES = ('recall', 'accuracy', 'exact_match')
LABEL_GAP = 13.0  # points between the labels of two lines


class Curve(NamedTuple):
  """One line of a panel: what was measured, or a value to compare with.

  Attributes:
    label: its name.
    colour: TRAIN and INK are drawn thin, as what others are compared with.
    x: rising.
    values: one for each x.
    style: of the line; dotted where it was not measured.
    quartiles: the first and third of what `values` are the medians of.
  """

  label: str
  colour: str
  x: Sequence[float]
  values: Sequence[float]
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
  panels, last = learning_panels(rows, baselines)
  draw(panels, along, (0, last)).savefig(path, dpi=150)


def learning_panels(
  rows: Sequence[Row], baselines: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, list[Curve]], int]:
  """The panels of the learning curve, and the step that they end at."""
  last = max([1, *(row['step'] for row in rows)])
  panels = {
    metric: [
      *references(baselines.get(metric, {}), 0, last),
      *_curves(rows, metric),
    ]
    for metric in told(rows)
  }
  return panels, last


def told(rows: Iterable[Row]) -> list[str]:
  """The metrics that tell of learning: what is descended, and one score."""
  names = {name for row in rows for name in row['metrics']}
  descended = 'bits_per_byte' if 'bits_per_byte' in names else 'loss'
  return [descended, *[name for name in SCORES if name in names][:1]]


def references(
  values: Mapping[str, float], first: float, last: float
) -> list[Curve]:
  """Dotted lines across, {name: value}."""
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
  """Panels below each other, {metric: its curves}, every curve named.

  Args:
    panels: a score reaches from 0 to 1; a metric of positive values is drawn
      on a logarithmic scale where these differ tenfold.
    xlabel: what all have to the right.
    xlim: from where to where; the curves' own ends if None.
    xscale: 'linear', or 'log', in powers of 2.
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
  all_axes[-1].set_xlim(xlim or (min(ends), max(ends)))
  figure.draw_without_rendering()  # fixes the heights that labels go by
  for axes, curves in zip(all_axes, panels.values(), strict=True):
    _label_ends(axes, curves)
  return figure


def _curves(rows: Sequence[Row], metric: str) -> Iterable[Curve]:
  """Training first, so that evaluations are drawn over it."""
  splits = dict.fromkeys(['train', *(row['split'] for row in rows)])
  for i, split in enumerate(splits):
    colour = EVALUATIONS[(i - 1) % len(EVALUATIONS)] if i else TRAIN
    of = [row for row in rows if row['split'] == split]
    yield from learned(of, metric, split, colour)


def learned(
  rows: Iterable[Row], metric: str, label: str, colour: str
) -> list[Curve]:
  """The curve of a metric over these rows; none if it is never a number."""
  there = [
    row for row in rows if math.isfinite(row['metrics'].get(metric, math.nan))
  ]
  if not there:
    return []
  steps = [row['step'] for row in there]
  values = [row['metrics'][metric] for row in there]
  band = [tuple(r['quartiles'][metric]) for r in there if 'quartiles' in r]
  return [Curve(label, colour, steps, values, quartiles=band)]


def _draw_panel(axes: 'Axes', metric: str, curves: Sequence[Curve]) -> None:
  values = [v for curve in curves for v in curve.values if curve.style != ':']
  if metric in SCORES:
    axes.set_ylim(0, 1)
  elif values and min(values) > 0 and max(values) > 10 * min(values):
    axes.set_yscale('log')
  for curve in curves:
    thin = curve.colour in (TRAIN, INK)
    few = len(curve.x) <= (1 if thin else 30)
    axes.plot(
      curve.x,
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
        curve.x, low, high, color=curve.colour, alpha=0.18, linewidth=0
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
  floor = float(axes.bbox.ymin) * points
  for curve, height, place in zip(
    curves, heights, spread(heights, LABEL_GAP, floor), strict=True
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


def spread(
  heights: Sequence[float], gap: float, floor: float = -math.inf
) -> list[float]:
  """Places near these heights, in their order, no two closer than the gap.

  Halfway between the places when all are pushed up and when all are pushed
  down, which keeps a crowd where it was; then up to the floor.
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
