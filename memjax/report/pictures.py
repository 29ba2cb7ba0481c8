"""Pictures of a page: drawings that fit a light page and a dark one."""

from collections.abc import Mapping, Sequence
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memjax.logs.console import number
from memjax.logs.plots import EVALUATIONS, FAINT, INK, TRAIN, UNITS, Curve, draw

if TYPE_CHECKING:
  from matplotlib.figure import Figure

NIGHT = '#5cb3ea', '#f28a4b', '#35c79c', '#e3a3c6', '#f0b840'
BY_NIGHT = {INK: '#e4e4e4', FAINT: '#4a4e54', TRAIN: '#9a9a9a'} | dict(
  zip(EVALUATIONS, NIGHT, strict=True)  # the same hues, lighter
)


class Picture(NamedTuple):
  """An image, and what it shows in words."""

  alt: str
  content: bytes
  kind: str = 'image/svg+xml'


def lines(
  panels: Mapping[str, Sequence[Curve]],
  xlabel: str,
  xlim: tuple[float, float] | None = None,
  xscale: str = 'linear',
) -> Picture:
  """Panels of curves, as `draw` draws them, said in words as well."""
  said = []
  for metric, curves in panels.items():
    ends = [f'{curve.label} {number(curve.values[-1])}' for curve in curves]
    there = f'{UNITS.get(metric, metric)} against {xlabel}'
    said.append(f'{there}; at the end {", ".join(ends)}.')
  return svg(draw(panels, xlabel, xlim, xscale), ' '.join(said))


def svg(figure: 'Figure', alt: str) -> Picture:
  """The figure as a drawing that turns light on a dark page."""
  import matplotlib as mpl

  buffer = io.BytesIO()
  with mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': alt}):
    figure.savefig(
      buffer, format='svg', transparent=True, metadata={'Date': None}
    )
  drawing = buffer.getvalue().decode()
  for colour in BY_NIGHT:
    drawing = drawing.replace(colour, f'var(--c{colour[1:]})')
  by_day, by_night = (
    ''.join(f'--c{day[1:]}:{colour};' for day, colour in pairs)
    for pairs in (zip(BY_NIGHT, BY_NIGHT, strict=True), BY_NIGHT.items())
  )
  style = (
    f'<style>:root{{{by_day}}}'
    f'@media(prefers-color-scheme:dark){{:root{{{by_night}}}}}'
    'text{font-family:system-ui,sans-serif!important}</style>'
  )
  return Picture(alt, drawing.replace('<defs>', style + '<defs>', 1).encode())


def png(path: Path, alt: str) -> Picture:
  """A picture that was drawn before."""
  return Picture(alt, path.read_bytes(), 'image/png')
