"""The learning curve shows the rows, and every label can be read."""

import itertools
import math
from pathlib import Path
import subprocess
import sys
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
import numpy as np
from PIL import Image
import pytest

from memjax.logs.learning_curves import learning_curve
from memjax.logs.plots import (
  LABEL_GAP,
  Curve,
  draw,
  spread_labels,
)


def row(step: int, split: str = 'train', **metrics: float) -> dict[str, Any]:
  return {'step': step, 'split': split, 'metrics': metrics}


def drawn(
  monkeypatch: pytest.MonkeyPatch, rows: list, baselines: dict
) -> Figure:
  """The figure at the moment when it is saved."""
  kept: list[Figure] = []
  monkeypatch.setattr(
    Figure, 'savefig', lambda self, *_, **__: kept.append(self)
  )
  learning_curve(rows, baselines, Path('unused.png'))
  return kept[0]


def labels(axes: Any) -> list[Annotation]:
  return [c for c in axes.get_children() if isinstance(c, Annotation)]


TEXT = [
  row(10, loss=3.0, bits_per_byte=4.0, gradient_norm=1.0),
  row(20, loss=2.0, bits_per_byte=3.0),
  row(20, 'validation', loss=2.1, bits_per_byte=3.1),
]


def points(line: Line2D) -> list[list[float]]:
  return np.asarray(line.get_xydata(), float).tolist()


def test_a_png_is_written(tmp_path: Path) -> None:
  path = tmp_path / 'curve.png'
  learning_curve(TEXT, {'bits_per_byte': {'xz -9': 2.0}}, path)
  with Image.open(path) as image:
    assert image.format == 'PNG'
    assert image.size == (1200, 600)
    assert image.info['dpi'] == pytest.approx((150, 150), abs=0.1)


def test_bits_per_byte_come_before_the_loss(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  references = {'bits_per_byte': {'xz -9': 2.0}, 'loss': {'other': 9.0}}
  (axes,) = drawn(monkeypatch, TEXT, references).axes
  assert axes.get_ylabel() == 'bits per byte'
  assert axes.get_xlabel() == 'training step'
  assert axes.get_yscale() == 'linear'
  lines = {tuple(map(tuple, points(line))) for line in axes.lines}
  assert lines == {
    ((0, 2), (20, 2)),
    ((10, 4), (20, 3)),
    ((20, 3.1),),
  }
  assert {label.get_text() for label in labels(axes)} == {
    'xz -9  2',
    'train  3',
    'validation  3.1',
  }


def test_replicas_are_a_median_and_a_band_between_the_quartiles(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  rows = [
    row(step, loss=2.0) | {'quartiles': {'loss': [1.5, 2.5 + step]}}
    for step in (1, 2)
  ]
  (axes,) = drawn(monkeypatch, rows, {}).axes
  assert [points(line) for line in axes.lines] == [[[1, 2.0], [2, 2.0]]]
  (band,) = axes.collections
  corners = set(map(tuple, np.asarray(band.get_paths()[0].vertices).tolist()))
  assert corners == {(1, 1.5), (1, 3.5), (2, 1.5), (2, 4.5)}


def test_a_score_has_a_panel_from_0_to_1(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  rows = [
    row(step, loss=0.1 / step, accuracy=0.9, recall=step / 40)
    for step in (1, 20)
  ]
  figure = drawn(monkeypatch, rows, {'recall': {'chance': 0.125}})
  loss, score = figure.axes
  assert loss.get_ylabel() == 'loss'
  assert loss.get_yscale() == 'log'
  assert score.get_ylabel() == 'recall, share of labels'
  assert (score.get_yscale(), score.get_ylim()) == ('linear', (0, 1))
  assert [label.get_text() for label in labels(score)] == (
    ['chance  0.125', 'train  0.5']
  )


def test_values_that_are_not_finite_are_left_out(
  monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
  rows = [row(1, loss=2.0), row(2, loss=math.inf), row(3, loss=math.nan)]
  (axes,) = drawn(monkeypatch, rows, {}).axes
  assert [points(line) for line in axes.lines] == [[[1, 2]]]
  assert axes.get_xlim() == (0, 3)


@pytest.mark.parametrize(
  'rows', [[], [row(1, loss=math.nan)], [row(0, loss=1)]]
)
def test_a_run_with_little_to_show_is_drawn(rows: list, tmp_path: Path) -> None:
  learning_curve(rows, {}, tmp_path / 'curve.png')
  assert (tmp_path / 'curve.png').stat().st_size > 1000


def test_one_point_is_drawn_in_the_middle() -> None:
  curve = Curve('only', '#0072b2', [3], [0.5])
  assert draw({'accuracy': [curve]}, 'lag').axes[0].get_xlim() == (2.5, 3.5)


def test_labels_do_not_touch_and_stay_on_the_page(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  splits = ['train', *(f'delay_{n}' for n in (100, 200, 500, 1000))]
  rows = [
    row(step, split, loss=loss + i / 10, accuracy=0.99)
    for step, loss in ((10, 9.0), (20, 1.5))
    for i, split in enumerate(splits)
  ]
  figure = drawn(monkeypatch, rows, {'loss': {'memoryless': 1.55}})
  figure.draw_without_rendering()
  for axes in figure.axes:
    boxes = sorted(
      (label.get_window_extent() for label in labels(axes)),
      key=lambda box: box.y0,
    )
    assert len(boxes) >= 5
    for low, high in itertools.pairwise(boxes):
      assert low.y1 <= high.y0
    for box in boxes:
      assert 0 < box.x0 < box.x1 < figure.bbox.width


def test_close_labels_are_separated_by_exactly_the_gap(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  rows = [row(1, loss=1.0), row(2, loss=9.0), row(3, loss=5.0)]
  rows.append(row(3, 'validation', loss=5.2))
  figure = drawn(monkeypatch, rows, {})
  figure.draw_without_rendering()
  boxes = [label.get_window_extent() for label in labels(figure.axes[0])]
  low, high = sorted((box.y0 + box.y1) / 2 for box in boxes)
  assert (high - low) * 72 / figure.dpi == pytest.approx(LABEL_GAP, abs=0.1)


def test_spreading_keeps_order_gap_and_centre() -> None:
  heights = [5.0, 1.0, 5.0, 30.0, 4.0]
  places = spread_labels(heights, 3.0)
  order = [1, 4, 0, 2, 3]
  assert sorted(range(5), key=lambda i: places[i]) == order
  for low, high in itertools.pairwise(order):
    assert places[high] - places[low] >= 3.0
  assert places[3] == 30.0
  assert spread_labels([7.0, 7.0], 2.0) == [6.0, 8.0]
  assert spread_labels([], 2.0) == []
  assert spread_labels([7.0, 7.0, 20.0], 2.0, floor=6.5) == [6.5, 8.5, 20.0]


def test_matplotlib_is_imported_only_when_something_is_drawn() -> None:
  script = (
    'import sys, memjax.logs.plots;'
    'print({"matplotlib", "jax"} & set(sys.modules))'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert ran.stdout == 'set()\n'
