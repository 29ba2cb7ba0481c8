"""A page as a real browser shows it, on a phone and on a desktop.

The page is opened unchanged in two frames of different width. The page around
them inspects the frames. Console messages are from the browser's own log.
"""

import html
import json
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

import pytest

NAMES = 'chromium', 'chromium-browser', 'google-chrome'
WIDTHS = 390, 1280  # pixels
FLAGS = (
  *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'),
  *('--no-first-run', '--disable-background-networking', '--disable-sync'),
  *('--disable-component-update', '--disable-dev-shm-usage'),
  '--disable-web-security',  # lets the outer page look into its frames
  *('--enable-logging=stderr', '--virtual-time-budget=10000', '--dump-dom'),
)
AROUND = """<!doctype html><meta charset="utf-8"><title>around</title>
%s<pre id="seen"></pre><script>
onload = () => {
  const seen = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument;
    return {
      width: frame.width,
      needed: page.documentElement.scrollWidth,
      title: page.title,
      text: page.body.innerText,
      pictures: [...page.querySelectorAll('img, svg')].map(picture => ({
        alt: picture.getAttribute('alt') || '',
        natural: picture.naturalWidth || 0,
        shown: picture.getBoundingClientRect().width,
      })),
    };
  });
  document.getElementById('seen').textContent = JSON.stringify(seen);
};
</script>"""


class Picture(NamedTuple):
  """An image; its natural width is 0 pixels if it could not be read."""

  alt: str
  natural: float
  shown: float


class Look(NamedTuple):
  """The page at one width.

  Attributes:
    width: of the window, in pixels.
    needed: the width of the page; above `width` the page scrolls sideways.
    title: the page's.
    text: its visible text.
    pictures: in order.
    console: messages of the browser about the page, at any width.
  """

  width: int
  needed: int
  title: str
  text: str
  pictures: list[Picture]
  console: list[str]


def look(page: Path) -> list[Look]:
  """The page at each width; skips the test if no browser is installed."""
  browser = next(filter(None, map(shutil.which, NAMES)), None)
  if browser is None:
    pytest.skip(f'no browser here: none of {", ".join(NAMES)}')
  frames = ''.join(
    f'<iframe src="{page.resolve().as_uri()}" width="{width}" height="800">'
    '</iframe>'
    for width in WIDTHS
  )
  with tempfile.TemporaryDirectory() as folder:
    around = Path(folder, 'around.html')
    around.write_text(AROUND % frames)
    ran = subprocess.run(
      [browser, *FLAGS, f'--user-data-dir={folder}/user', around.as_uri()],
      capture_output=True,
      text=True,
      timeout=120,
      check=True,
    )
  console = re.findall(r':CONSOLE.*?\] (.*)', ran.stderr)
  found = re.search(r'<pre id="seen">(\[.*\])</pre>', ran.stdout, re.S)
  assert found, ran.stdout[-2000:] + ran.stderr[-2000:]
  return [
    Look(
      int(one['width']),
      one['needed'],
      one['title'],
      one['text'],
      [Picture(**picture) for picture in one['pictures']],
      console,
    )
    for one in json.loads(html.unescape(found[1]))
  ]
