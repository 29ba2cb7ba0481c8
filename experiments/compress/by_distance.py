"""Scores near and far, and their curves by distance, of `compression.csv`.

    python -m experiments.compress.by_distance CSV PNG

`experiments.compress.run` writes the CSV. Replicas are a median.
"""

import argparse
from collections.abc import Iterator
import csv
from pathlib import Path
import statistics
from typing import NamedTuple

from memjax.logs.plots import EVALUATIONS, INK, draw_frame

# {way to store: its colour and dash}; other ways are not drawn.
DRAWN = {
  'parameters, 32 bits': (INK, '-'),
  'parameters, 4 bits': (EVALUATIONS[0], '-'),
  'parameters, 3 bits': (EVALUATIONS[0], '--'),
  'parameters, 50% pruned': (EVALUATIONS[1], '-'),
  'parameters, 2:4': (EVALUATIONS[1], '--'),
  'parameters, 50% of the rank': (EVALUATIONS[2], '-'),
  'carry, 4 bits': (EVALUATIONS[3], '-'),
  'carry, 3 bits': (EVALUATIONS[3], '--'),
  'carry, 2 bits': (EVALUATIONS[3], ':'),
}
COLUMNS = 3


class Scores(NamedTuple):
  """What one way to store costs one memory.

  Attributes:
    size: bytes of the parameters, or of the carry of a row.
    by_distance: {middle of a bin of distances: the score of each replica}.
  """

  size: int
  by_distance: dict[float, list[float]]

  def medians(self) -> list[float]:
    """One for each distance, the nearest first."""
    found = sorted(self.by_distance.items())
    return [statistics.median(scores) for _, scores in found]


Memories = dict[str, dict[str, Scores]]  # {memory: {way to store: its scores}}


def read_scores(path: Path) -> Memories:
  """The scores in the order of the file."""
  memories: Memories = {}
  with path.open(newline='', encoding='utf-8') as file:
    head, *rows = csv.reader(file)
  names = [name.partition(' [')[0] for name in head]  # without units
  for cells in rows:
    row = dict(zip(names, cells, strict=True))
    way = f'{row["what"]}, {row["stored"]}'
    ways = memories.setdefault(row['run'], {})
    scores = ways.setdefault(way, Scores(int(row['size']), {}))
    distance = float(row['label_distance'])
    scores.by_distance.setdefault(distance, []).append(float(row['accuracy']))
  return memories


def tables(memories: Memories) -> Iterator[str]:
  """Lines in Markdown: scores near and far, those of all seeds, bytes."""
  shown = {'near, far': ends, 'mean of distances': spread, 'bytes': size}
  for title, show in shown.items():
    yield f'\n| {title} | {" | ".join(memories)} |'
    yield '|---' * (1 + len(memories)) + '|'
    for way in next(iter(memories.values())):
      cells = [show(ways[way]) for ways in memories.values()]
      yield f'| {way} | {" | ".join(cells)} |'


def ends(scores: Scores) -> str:
  near, *_, far = scores.medians()
  return f'{near:.2f}, {far:.2f}'


def spread(scores: Scores) -> str:
  """The median of the replicas; the least and the most, if they differ."""
  replicas = zip(*scores.by_distance.values(), strict=True)
  means = sorted(map(statistics.fmean, replicas))
  least, middle, most = (
    f'{mean:.2f}' for mean in (means[0], statistics.median(means), means[-1])
  )
  return middle if least == most else f'{middle} ({least} to {most})'


def size(scores: Scores) -> str:
  return f'{scores.size:,}'


def draw(memories: Memories, path: Path) -> None:
  """Writes a picture with a panel for each memory."""
  from matplotlib.figure import Figure

  rows = -(-len(memories) // COLUMNS)
  figure = Figure(figsize=(9, 0.9 + 2.4 * rows), layout='constrained')
  panels = figure.subplots(
    rows, COLUMNS, sharex=True, sharey=True, squeeze=False
  ).ravel()
  for axes, (name, ways) in zip(panels, memories.items(), strict=False):
    for way, (colour, dash) in DRAWN.items():
      x = sorted(ways[way].by_distance)
      y = ways[way].medians()
      axes.plot(x, y, dash, color=colour, marker='o', ms=3, label=way)
    axes.set_title(name, color=INK, fontsize=10)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel('steps back to the symbol', fontsize=9)
    axes.label_outer()
    draw_frame(axes, 'y')
  for axes in panels[len(memories) :]:
    axes.set_visible(False)
  handles, labels = panels[0].get_legend_handles_labels()
  figure.legend(
    handles, labels, loc='outside lower center', ncols=COLUMNS, frameon=False
  )
  figure.supylabel('accuracy', fontsize=10)
  figure.savefig(path, dpi=110)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('csv', type=Path)
  parser.add_argument('png', type=Path)
  given = parser.parse_args()
  memories = read_scores(given.csv)
  print(*tables(memories), sep='\n')
  draw(memories, given.png)


if __name__ == '__main__':
  main()
