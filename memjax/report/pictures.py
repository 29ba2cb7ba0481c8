"""The images of a page: SVGs for light and dark pages, and PNGs."""

from collections.abc import Mapping
import io
from pathlib import Path

from memjax.analysis.section import Picture, Plot
from memjax.logs.plots import EVALUATIONS, FAINT, INK, TRAIN, Style

NIGHT = '#5cb3ea', '#f28a4b', '#35c79c', '#e3a3c6', '#f0b840'
BY_NIGHT = {INK: '#e4e4e4', FAINT: '#4a4e54', TRAIN: '#9a9a9a'} | dict(
  zip(EVALUATIONS, NIGHT, strict=True)  # the same hues, lighter
)


def svg(plot: Plot, styles: Mapping[str, Style]) -> Picture:
  """The plot as an SVG whose colours follow the page, light or dark."""
  import matplotlib as mpl

  buffer = io.BytesIO()
  with mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': plot.alt}):
    plot.draw(styles).savefig(
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
  drawing = drawing.replace('<defs>', style + '<defs>', 1)
  return Picture(plot.alt, drawing.encode())


def png(path: Path, alt: str) -> Picture:
  """A PNG that was drawn before."""
  return Picture(alt, path.read_bytes(), 'image/png')
