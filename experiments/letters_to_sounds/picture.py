"""Draws the errors by length, in both directions.

    python -m experiments.letters_to_sounds.picture SOUNDS.csv LETTERS.csv PNG

Each CSV is the by_length.csv of a run: of sounds as answers, then of letters.
"""

import argparse
from collections.abc import Iterator
import csv
from pathlib import Path

from memjax.logs.plots import EVALUATIONS, Curve, draw


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  for name in ('sounds', 'letters', 'png'):
    parser.add_argument(name, type=Path)
  given = parser.parse_args()
  panels = {
    'sounds wrong, %': [*curves(given.sounds)],
    'letters wrong, %': [*curves(given.letters)],
  }
  figure = draw(panels, 'length of what is read: letters above, sounds below')
  for axes in figure.axes:
    axes.set_ylim(bottom=0)
  figure.savefig(given.png, dpi=150)


def curves(path: Path) -> Iterator[Curve]:
  """The errors of each model over the middles of the groups of lengths."""
  with path.open() as file:
    rows = [*csv.DictReader(file)]
  models = dict.fromkeys(row['model'] for row in rows)
  for model, colour in zip(models, EVALUATIONS, strict=False):
    places, errors = [], []
    for row in rows:
      least, most = map(int, row['length'].split('-'))
      # The first row of a model is of all lengths.
      if row['model'] == model and (least, most) != (1, 16):
        places.append((least + most) / 2)
        errors.append(100 * float(row['errors']))
    yield Curve(model, colour, places, errors)


if __name__ == '__main__':
  main()
