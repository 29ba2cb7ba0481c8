"""What stands in a cell of a table and at a point of a curve."""

import math

import numpy as np
import pytest

from memjax.analysis.across_runs import format_median, median_curve, run_table


@pytest.mark.parametrize(
  ('values', 'text'),
  [
    ([0.5], '0.5000'),
    ([1.0, 2.0, 4.0], '2.000 (1.500 to 3.000)'),
    ([2.0, 2.0, 2.0], '2.000'),
    ([1.0, math.nan, 3.0], '2.000 (1.500 to 2.500)'),
    ([1.0, 3.0, math.inf], '2.000 (1.500 to 2.500), 1 not finite'),
    ([math.inf, math.inf], '—'),
    ([64, 64, 1000], '64 (64 to 532)'),
    ([2000], '≥ 1,500'),
    ([math.nan, math.nan], '—'),
  ],
)
def test_a_cell_is_a_median_and_quartiles(values: list, text: str) -> None:
  cell = format_median(np.array(values), 1500)
  assert cell.replace('\N{NO-BREAK SPACE}', ' ') == text


def test_a_curve_is_a_median_where_all_replicas_are_finite() -> None:
  values = np.array([[1.0, 1.0, 5.0], [3.0, math.nan, 5.0]])
  curve = median_curve('run', np.array([1, 2, 4]), values)
  assert (curve.label, curve.colour) == ('run', '')
  assert (list(curve.x), list(curve.values)) == ([1, 4], [2, 5])
  assert curve.quartiles == [(1.5, 2.5), (5, 5)]
  assert median_curve('run', np.array([1]), np.ones((1, 1))).quartiles == ()


def test_a_run_without_a_figure_has_an_empty_cell() -> None:
  table = run_table({'one': {'a': '1', 'b': '2'}, 'other': {'b': '3'}}, 'c')
  assert table.head == ['', 'one', 'other']
  assert table.rows == [['a', '1', '—'], ['b', '2', '3']]
