"""Dots stand where their values are, in the rows of their categories."""

import math

import numpy as np

from memjax.analysis.dot_plot import Dot, draw_dots
from memjax.logs.plots import style_runs


def test_dots_stand_at_their_values_in_the_rows_of_their_categories() -> None:
  dots = {
    'one': [Dot('a', 1.0, 0.5, 2.0), Dot('b', math.nan, math.nan, math.nan)],
    'other': [Dot('b', 3.0, 3.0, 3.0)],
  }
  styles = style_runs(dots)
  figure = draw_dots({'rise': dots}, styles)
  (axes,) = figure.axes
  lines = [line for line in axes.lines if line.get_marker() == 'o']
  points = {
    (line.get_color(), *np.asarray(line.get_xydata())[0].round(3))
    for line in lines
    if np.size(line.get_xdata())
  }
  assert points == {
    (styles['one'].colour, 1.0, 0.0),
    (styles['other'].colour, 3.0, 1.167),
  }
  assert [label.get_text() for label in axes.get_yticklabels()] == ['a', 'b']
  assert axes.get_xlabel() == 'rise'
  assert [text.get_text() for text in figure.legends[0].get_texts()] == [
    'one',
    'other',
  ]
