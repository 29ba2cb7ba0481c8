"""A sweep as parallel coordinates: a line per trial, an axis per parameter.

The last axis is the metric, better upwards. Finished trials go from grey to
blue as they get better, and the best one is orange. Pruned trials are dotted,
at their last value. Failed trials are left out.
"""

from collections.abc import Sequence
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from memjax.logs.plots import EVALUATIONS, FAINT, INK, UNITS
from memjax.sweep.file import Sweep
from memjax.sweep.parameters import Scalar, Values
from memjax.sweep.table import format_value, rank, shorten_names

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.lines import Line2D

WORST, BETTER, BEST = '#b9c4cc', EVALUATIONS[0], EVALUATIONS[1]
WIDTH = 1.9  # inches per axis


class Axis(NamedTuple):
  """One of the parallel axes.

  Attributes:
    label: the text below it.
    heights: the height of each trial on it, 0 to 1.
    ticks: heights and their labels.
  """

  label: str
  heights: Sequence[float]
  ticks: Sequence[tuple[float, str]]


def draw(sweep: Sweep, trials: Sequence[FrozenTrial], path: Path) -> None:
  """Draws the trials that have a value, at least one, as a PNG."""
  from matplotlib.colors import LinearSegmentedColormap
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  shown = [t for t in rank(sweep, trials) if t.value is not None]
  axes_of = [*_parameters(sweep, shown), _metric(sweep, shown)]
  width = max(WIDTH * len(axes_of) + 0.6, 4.5)
  layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
  figure = Figure(figsize=(width, 4.2), layout=layout)
  axes = figure.subplots()
  colours = LinearSegmentedColormap.from_list('rank', [BETTER, WORST])
  count = sum(t.state == TrialState.COMPLETE for t in shown)
  kinds: dict[str, Line2D] = {}
  for i, trial in reversed(list(enumerate(shown))):
    finished = trial.state == TrialState.COMPLETE
    colour = colours(i / max(count - 1, 1)) if finished else INK
    best = finished and i == 0
    kind = 'best' if best else 'finished' if finished else 'pruned'
    (kinds[kind],) = axes.plot(
      range(len(axes_of)),
      [axis.heights[i] for axis in axes_of],
      '-' if finished else ':',
      color=BEST if best else colour,
      linewidth=2.6 if best else 1.4 if finished else 1,
      alpha=1 if finished else 0.6,
      marker='o',
      markersize=5 if best else 3,
      clip_on=False,
    )
  _frame(axes, axes_of)
  axes.legend(
    [*kinds.values()][::-1],
    [*kinds][::-1],
    loc='lower center',
    bbox_to_anchor=(0.5, 1.02),
    ncols=len(kinds),
    frameon=False,
    labelcolor=INK,
  )
  figure.savefig(path, dpi=110)


def _parameters(sweep: Sweep, shown: Sequence[FrozenTrial]) -> list[Axis]:
  """An axis for each parameter that varies."""
  flags, found = sweep.varying(), []
  for flag, name in zip(flags, shorten_names(flags), strict=True):
    values, parameter = [t.params[flag] for t in shown], sweep.parameters[flag]
    if isinstance(parameter, Values):
      found.append(_choices(name, values, parameter))
    else:
      low, high, log, _ = parameter
      found.append(_scale(name, values, low, high, log))
  return found


def _choices(name: str, values: Sequence[Scalar], parameter: Values) -> Axis:
  """An axis of listed values at equal distances, numbers in order."""
  listed = list(parameter.values)
  if all(isinstance(value, int | float) for value in listed):
    listed.sort()
  place = {value: i / (len(listed) - 1) for i, value in enumerate(listed)}
  heights = [place[value] for value in values]
  return Axis(name, heights, [(place[v], format_value(v)) for v in listed])


def _scale(
  name: str, values: Sequence[float], low: float, high: float, log: bool
) -> Axis:
  """An axis of numbers between two ends, with five ticks."""
  to, back = (math.log, math.exp) if log else (float, float)
  start, span = to(low), (to(high) - to(low)) or 1.0
  heights = [(to(value) - start) / span for value in values]
  ticks = [(i / 4, f'{back(start + span * i / 4):.3g}') for i in range(5)]
  return Axis(name, heights, ticks)


def _metric(sweep: Sweep, shown: Sequence[FrozenTrial]) -> Axis:
  """The axis of the metric, better upwards."""
  values = [trial.value for trial in shown if trial.value is not None]
  low, high = min(values), max(values)
  log = low > 0 and high > 10 * low
  split, _, name = sweep.metric.partition('/')
  label = f'{split}\n{UNITS.get(name, name)}'
  axis = _scale(label, values, low, high, log)
  if sweep.goal == 'maximize':
    return axis
  return Axis(
    label,
    [1 - height for height in axis.heights],
    [(1 - height, text) for height, text in axis.ticks],
  )


def _frame(axes: 'Axes', axes_of: Sequence[Axis]) -> None:
  for x, axis in enumerate(axes_of):
    axes.plot([x, x], [0, 1], color=FAINT, linewidth=1, zorder=0)
    last = x == len(axes_of) - 1
    for height, text in axis.ticks:
      axes.annotate(
        text,
        (x, height),
        xytext=(8 if last else -6, 0),
        textcoords='offset points',
        ha='left' if last else 'right',
        va='center',
        fontsize=9,
        color=INK,
        annotation_clip=False,
        bbox={
          'facecolor': 'white',
          'alpha': 0.75,
          'edgecolor': 'none',
          'pad': 1,
        },
      )
  axes.set_xticks(range(len(axes_of)), [axis.label for axis in axes_of])
  axes.set_xlim(-0.35, len(axes_of) - 0.7)
  axes.set_ylim(-0.03, 1.03)
  axes.set_yticks([])
  axes.tick_params(length=0, pad=12, labelcolor=INK)
  axes.spines[:].set_visible(False)
