"""Pictures of weights: panels of numbers, time to the right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memjax.logs.plots import FAINT, INK, Style

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

FINE = 80  # steps that have labels of their own, at most
TALL = 3.2  # inches of a panel, at most


class Map(NamedTuple):
  """One panel.

  Attributes:
    values: `(T, rows)`, at least 0.
    first: the number of the lowest row.
    of_steps: whether the rows are steps as well.
  """

  values: np.ndarray
  first: int = 0
  of_steps: bool = False


class MapPlot(NamedTuple):
  """The maps of one run below each other, time to the right.

  Attributes:
    run: its name.
    maps: {label of the vertical axis: map}.
    symbols: what is read at each step, if it can be written.
    most: the value of the brightest colour.
    unit: of the values.
  """

  run: str
  maps: Mapping[str, Map]
  symbols: Sequence[str] = ()
  most: float = 1.0
  unit: str = 'value or weight'

  @property
  def runs(self) -> list[str]:
    return [self.run]

  @property
  def alt(self) -> str:
    return f'{self.run}: {", ".join(self.maps)} against step.'

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    """A run has a picture of its own, so no style is needed."""
    del styles
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    heights = [max(one.values.shape[1], 8) for one in self.maps.values()]
    inches = 0.8 + sum(min(h * 0.07, TALL) + 0.35 for h in heights)
    figure = Figure(figsize=(8, min(inches, 12)), layout='constrained')
    all_axes = figure.subplots(
      len(heights), sharex=True, height_ratios=heights, squeeze=False
    )[:, 0]
    for axes, (label, one) in zip(all_axes, self.maps.items(), strict=True):
      steps, rows = one.values.shape
      image = axes.imshow(
        one.values.T,
        cmap='cividis',
        norm=PowerNorm(0.5, 0, self.most),  # small weights are seen as well
        aspect='auto',
        interpolation='nearest',
        origin='lower',
        extent=(-0.5, steps - 0.5, one.first - 0.5, one.first + rows - 0.5),
      )
      axes.set_ylabel(label, color=INK)
      axes.tick_params(color=FAINT, labelcolor=INK)
      axes.spines[:].set_visible(False)
      if (
        one.of_steps
        and one.first == 0
        and rows == len(self.symbols) <= FINE / 2
      ):
        axes.set_yticks(range(rows), self.symbols[:rows], family='monospace')
        axes.tick_params(axis='y', length=0, labelsize=7)
    if self.run:
      all_axes[0].set_title(self.run, color=INK, loc='left', fontsize=10)
    all_axes[-1].set_xlabel('step', color=INK)
    label_steps(all_axes[-1], self.symbols)
    bar = figure.colorbar(image, ax=list(all_axes), shrink=0.4)
    bar.set_label(self.unit, color=INK)
    bar.ax.tick_params(color=FAINT, labelcolor=INK)
    bar.outline.set_visible(False)
    return figure


def label_steps(axes: 'Axes', symbols: Sequence[str]) -> None:
  """Writes what is read at each step below the axis, if it fits."""
  if 0 < len(symbols) <= FINE:
    axes.set_xticks(range(len(symbols)), symbols, family='monospace')
    longest = max(map(len, symbols))
    axes.tick_params(axis='x', length=0, labelsize=7)
    if longest > 2 or (longest > 1 and len(symbols) > FINE // 2):
      axes.tick_params(axis='x', labelrotation=90)
