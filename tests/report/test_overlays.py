"""What stands in a table's cell and beneath a picture."""

import math
from types import ModuleType

import numpy as np
import pytest

from memjax.models.recurrent.rnn import RNN
from memjax.report.overlays import columns, said, words
from memjax.report.runs import Subject
from memjax.runs.load import Run


@pytest.mark.parametrize(
  ('values', 'text'),
  [
    ([0.5], '0.5000'),
    ([1.0, 2.0, 4.0], '2.000 (1.500 to 3.000)'),
    ([2.0, 2.0, 2.0], '2.000'),
    ([1.0, math.nan, 3.0], '2.000 (1.500 to 2.500)'),
    ([1.0, 2.0, math.inf], '2.000 (1.000 to inf)'),
    ([math.inf, math.inf], 'inf'),
    ([math.nan, math.nan], '—'),
  ],
)
def test_a_cell_is_a_median_and_quartiles(values: list, text: str) -> None:
  assert said(np.array(values)).replace('\N{NO-BREAK SPACE}', ' ') == text


def test_a_docstring_is_paragraphs_and_what_is_set_in() -> None:
  module = ModuleType(
    'module', 'One\nidea.\n\n    a  = b\n    c\n\nPaper: p\nUnit: u'
  )
  assert words(module).split('\n\n') == [
    'One idea.',
    '    a  = b\n    c',
    'Paper: p',
    'Unit: u',
  ]


def test_a_run_without_a_figure_has_an_empty_cell() -> None:
  run = Run({}, RNN(1), {}, (), None, 0, {})
  one, other = (
    Subject(name, '', '-', run, [], []) for name in ('one', 'other')
  )
  head, rows = columns([(one, {'a': '1', 'b': '2'}), (other, {'b': '3'})])
  assert head == ['', 'one', 'other']
  assert rows == [['a', '1', '—'], ['b', '2', '3']]
