"""A plot of categories: a row of dots for each, a dot for each run."""

from collections.abc import Mapping, Sequence
import math
from typing import TYPE_CHECKING, NamedTuple

from memjax.logs.console import format_number
from memjax.logs.plots import FAINT, INK, Style, draw_frame

if TYPE_CHECKING:
  from matplotlib.figure import Figure


class Dot(NamedTuple):
  """One value of a category, between its quartiles."""

  category: str
  value: float
  low: float
  high: float


class DotPlot(NamedTuple):
  """Panels side by side: a row of dots for each category, a dot for each run.

  Attributes:
    panels: {metric: {run: its dots}}.
  """

  panels: Mapping[str, Mapping[str, Sequence[Dot]]]

  @property
  def runs(self) -> list[str]:
    return list(dict.fromkeys(run for of in self.panels.values() for run in of))

  @property
  def alt(self) -> str:
    return ' '.join(
      f'{metric}: {run} '
      + ', '.join(f'{dot.category} {format_number(dot.value)}' for dot in dots)
      + '.'
      for metric, of in self.panels.items()
      for run, dots in of.items()
    )

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    return draw_dots(self.panels, styles)


def draw_dots(
  panels: Mapping[str, Mapping[str, Sequence[Dot]]],
  styles: Mapping[str, Style],
) -> 'Figure':
  """Panels side by side: categories below each other, a dot for each run.

  Args:
    panels: {metric: {run: its dots}}; dots that are not numbers are left out.
    styles: of the runs.
  """
  from matplotlib.figure import Figure
  from matplotlib.ticker import MaxNLocator

  runs = list(dict.fromkeys(run for of in panels.values() for run in of))
  runs_of: dict[str, list[str]] = {}  # {category: the runs that have it}
  for run in runs:
    each = [dot for of in panels.values() for dot in of.get(run, ())]
    for category in dict.fromkeys(dot.category for dot in each):
      runs_of.setdefault(category, []).append(run)
  categories = list(runs_of)
  height = 1.1 + 0.16 * sum(1 + len(of) for of in runs_of.values())
  figure = Figure(figsize=(8, height), layout='constrained')
  all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
  for axes, (metric, of) in zip(all_axes, panels.items(), strict=True):
    axes.axvline(0, color=FAINT, linewidth=1)
    for run, dots in of.items():
      for dot in (dot for dot in dots if math.isfinite(dot.value)):
        sharing = runs_of[dot.category]
        shift = (sharing.index(run) + 1) / (len(sharing) + 1) - 0.5
        place = categories.index(dot.category) + shift
        colour = styles[run].colour
        axes.plot([dot.low, dot.high], [place, place], color=colour)
        axes.plot([dot.value], [place], 'o', color=colour, markersize=4)
    axes.set_xlabel(metric, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_yticks(range(len(categories)), categories)
    axes.set_ylim(len(categories) - 0.5, -0.5)
    draw_frame(axes, 'x')
  lines = [
    figure.axes[0].plot([], [], 'o', color=styles[run].colour)[0]
    for run in runs
  ]
  if len(runs) > 1:
    figure.legend(
      lines,
      runs,
      loc='outside upper left',
      frameon=False,
      ncols=4,
      labelcolor=INK,
    )
  return figure
