"""The tables and the picture of compressed memories."""

import csv
from pathlib import Path

import pytest

from experiments.compress import by_distance


def write(path: Path) -> None:
  """Two memories, three replicas, three distances; scores by replica."""
  head = 'run,what,stored,size [bytes],replica,label_distance [steps]'
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow([*head.split(','), 'accuracy [share of labels]'])
    for number, run in enumerate(('gru', 'lstm')):
      for way in by_distance.DRAWN:
        what, stored = way.split(', ')
        for replica, part in enumerate((0.1, 0.9, 0.3)):
          for distance in (20.5, 3.0, 9.5):
            score = part + number / 10 - distance / 1000
            row = [run, what, stored, 1200 + number, replica, distance, score]
            writer.writerow(row)


def test_near_and_far_are_medians_of_replicas(tmp_path: Path) -> None:
  write(tmp_path / 'compression.csv')
  found = by_distance.read_scores(tmp_path / 'compression.csv')
  assert [*found] == ['gru', 'lstm']
  medians = found['lstm']['carry, 2 bits'].medians()
  assert medians == pytest.approx([0.397, 0.3905, 0.3795])
  lines = [*by_distance.tables(found)]
  ways = len(by_distance.DRAWN)
  assert len(lines) == 3 * (2 + ways)
  assert lines[0] == '\n| near, far | gru | lstm |'
  assert lines[1] == '|---|---|---|'
  assert lines[2] == '| parameters, 32 bits | 0.30, 0.28 | 0.40, 0.38 |'
  cells = '0.29 (0.09 to 0.89) | 0.39 (0.19 to 0.99)'
  assert lines[2 + ways + 2] == f'| parameters, 32 bits | {cells} |'
  assert lines[-1] == '| carry, 2 bits | 1,200 | 1,201 |'
  by_distance.draw(found, tmp_path / 'curves.png')
  assert (tmp_path / 'curves.png').read_bytes()[1:4] == b'PNG'
