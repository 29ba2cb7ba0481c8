"""What an instrument shows of several runs: plots, tables and a definition.

These are values. `memjax.report` makes a page of them; `write_svg` makes a
file of one plot.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from memjax.logs.plots import Curve, Style, describe, draw, style_runs

if TYPE_CHECKING:
  from matplotlib.figure import Figure


class Plot(Protocol):
  """A figure that is not drawn yet.

  It names its runs, so that a run has the same style in every plot of a page.
  """

  @property
  def runs(self) -> Sequence[str]:
    """The runs in the plot, in their order."""

  @property
  def alt(self) -> str:
    """What the plot shows, in words."""

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    """Draws the plot, each run in its style."""


class LinePlot(NamedTuple):
  """Panels of curves below each other.

  Attributes:
    panels: {metric: its curves}. A curve without a colour is a run's: its
      label is the run's name.
    xlabel: what the horizontal axis counts.
    xlim: first and last x; None: those of the curves.
    xscale: 'linear', or 'log' for powers of 2.
  """

  panels: Mapping[str, Sequence[Curve]]
  xlabel: str
  xlim: tuple[float, float] | None = None
  xscale: str = 'linear'

  @property
  def runs(self) -> list[str]:
    curves = [curve for each in self.panels.values() for curve in each]
    return list(dict.fromkeys(c.label for c in curves if not c.colour))

  @property
  def alt(self) -> str:
    return describe(self.panels, self.xlabel)

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    panels = {
      metric: [
        c if c.colour else c._replace(**styles[c.label]._asdict())
        for c in curves
      ]
      for metric, curves in self.panels.items()
    }
    return draw(panels, self.xlabel, self.xlim, self.xscale)


class Picture(NamedTuple):
  """An image that is drawn already, and what it shows in words."""

  alt: str
  content: bytes
  kind: str = 'image/svg+xml'


class Table(NamedTuple):
  """Rows of text below a head; the first column names the row."""

  head: Sequence[str]
  rows: Sequence[Sequence[str]]
  caption: str = ''


class Section(NamedTuple):
  """A part of a report.

  Attributes:
    title: a few words.
    definition: what is shown and how it was measured, hidden until the reader
      opens it. Empty lines separate paragraphs; a paragraph that is indented
      keeps its line breaks.
    plots: drawn first.
    pictures: shown after the plots.
    tables: shown below the pictures.
    notes: one line each, for example why a run is missing.
    quotes: (title, text that is shown as it was written).
    folded: the same, hidden until the reader opens it.
    files: names of files beside the page that hold the same figures.
    lead: a sentence below the title.
    sentences: what was found, above everything else.
  """

  title: str
  definition: str = ''
  plots: Sequence[Plot] = ()
  pictures: Sequence[Picture] = ()
  tables: Sequence[Table] = ()
  notes: Sequence[str] = ()
  quotes: Sequence[tuple[str, str]] = ()
  folded: Sequence[tuple[str, str]] = ()
  files: Sequence[str] = ()
  lead: str = ''
  sentences: Sequence[str] = ()


def write_svg(
  plot: Plot, path: Path, styles: Mapping[str, Style] | None = None
) -> None:
  """Writes a plot as an SVG on white, for papers and slides.

  Args:
    plot: any.
    path: where to write.
    styles: of the plot's runs; by default they are styled in their order.
  """
  figure = plot.draw(styles or style_runs(plot.runs))
  figure.savefig(path, format='svg', metadata={'Date': None})
