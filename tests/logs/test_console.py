"""A run's rows are lines of 80 columns, with the headline metric last."""

import io
import math
import re
from typing import Any

import pytest

from memjax.logs.console import (
  Console,
  format_duration,
  format_magnitude,
  format_number,
  format_rate,
)
from memjax.logs.metrics_file import Row


def row(step: int, split: str = 'train', **metrics: float) -> Row:
  return {'step': step, 'split': split, 'metrics': metrics}


PACE = {'tokens_per_second': 41234.5, 'learning_rate': 9.1e-4}
TRAIN = row(400, loss=2.113, accuracy=0.41, gradient_norm=3.0) | PACE
VALID = row(400, 'validation', loss=2.24, accuracy=0.39)
BYTES = row(
  400,
  accuracy=0.41,
  bits_per_byte=3.0484,
  bits_per_character=3.0484,
  loss=2.113,
)
WIDE = row(
  123456789,
  accuracy=1.234e-5,
  bits_per_byte=3.0484e-7,
  exact_match=1e-12,
  loss=1.2345e-9,
  perplexity_per_word=9.7e13,
) | {'tokens_per_second': 9.9e9, 'learning_rate': 1.25e-10, 'mfu': 0.4321}


def shown(rows: list[tuple[float, Row]], **kwargs: Any) -> list[str]:
  """The lines of the console for (time, row)s."""
  file, now = io.StringIO(), [0.0]
  console = Console(2000, file=file, clock=lambda: now[0], **kwargs)
  for now[0], r in rows:
    console.write(r)
  console.close()
  return file.getvalue().split('\n')


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
  """Standard output is a terminal of 80 columns."""
  monkeypatch.setenv('FORCE_COLOR', '1')
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '80')


def test_lines_end_with_the_headline_and_say_what_is_left() -> None:
  lines = shown([(0.0, TRAIN | {'step': 200}), (9.0, TRAIN), (9.5, VALID)])
  figures = '41k tok/s  lr 9.1e-4  loss 2.113  acc 0.4100'
  assert lines == [
    f' 200/2000  train{figures:>64}',
    f' 400/2000  train{f"1:12 left   {figures}":>64}',
    f' 400/2000  validation{"loss 2.240  acc 0.3900":>59}',
    '',
  ]


def test_the_watched_metric_is_last() -> None:
  line = shown([(0.0, VALID)], best='validation/loss')[0]
  assert line.endswith('acc 0.3900  loss 2.240')


def test_bytes_have_one_figure_for_bits() -> None:
  line = shown([(0.0, BYTES)])[0]
  assert line.endswith('acc 0.4100  bits/byte 3.048')
  assert 'bits/char' not in line


def test_replicas_have_least_most_and_the_number_that_solved() -> None:
  figures = {'accuracy': [0.08, 0.997, 0.096], 'loss': [2.1, 0.1, 2.0]}
  replicas = {'replicas': figures}
  line = shown([(0.0, row(9, 'held_out', loss=2.0, accuracy=0.096) | replicas)])
  assert line[0].endswith('acc 0.09600  (0.08000 to 0.9970, 1 solved)')
  line = shown(
    [(0.0, row(9, 'held_out', loss=2.0) | replicas)], best='held_out/loss'
  )
  assert line[0].endswith('loss 2.000  (0.1000 to 2.100)')


def test_replicas_with_rates_of_their_own_show_the_range() -> None:
  rates = {'learning_rate': [3e-4, 1e-4, 1e-3]}
  assert 'lr 1.0e-4 to 1.0e-3' in shown([(0.0, TRAIN | rates)])[0]


@pytest.mark.parametrize('replicas', [{}, {'replicas': None}])
@pytest.mark.parametrize('split', ['train', 'a_long_name_of_a_set'])
def test_wide_numbers_stay_in_80_columns(split: str, replicas: dict) -> None:
  wide = WIDE | {'split': split}
  if replicas:
    wide['replicas'] = {k: [v, 2 * v] for k, v in wide['metrics'].items()}
  (line, _) = shown([(0.0, wide)])
  assert len(line) == 80
  assert 'bits/byte 3.048e-07' in line


def test_what_does_not_fit_is_left_out_in_order() -> None:
  many = TRAIN | {'metrics': TRAIN['metrics'] | {'first': 0.1, 'second': 0.2}}
  rows = [(0.0, many | {'step': 200}), (9.0, many)]
  line = shown(rows)[1]
  assert 'first' not in line
  assert '1:12 left' in line
  assert len(line) <= 80


def test_diagnostics_stay_in_the_file() -> None:
  assert 'gradient_norm' not in shown([(0.0, TRAIN)])[0]


def test_mfu_is_a_percentage() -> None:
  assert 'mfu 43.2%' in shown([(0.0, TRAIN | {'mfu': 0.4321})])[0]


@pytest.mark.usefixtures('terminal')
def test_on_a_terminal_all_rows_stay_above_a_bar() -> None:
  lines = shown([(0.0, TRAIN | {'step': 200}), (0.1, VALID), (9.0, TRAIN)])
  text = '\n'.join(lines)
  kept = [line for line in lines if 'train' in line or 'validation' in line]
  assert len(kept) == 3
  assert kept[-1].endswith('loss 2.113  acc 0.4100')
  bar = lines[-2]
  assert '400/2000' in bar
  assert '1:12 left   41k tok/s  lr 9.1e-4  acc 0.4100' in bar
  assert text.endswith('\x1b[?25h')  # the cursor is back


@pytest.mark.usefixtures('terminal')
@pytest.mark.parametrize('live', [WIDE, TRAIN, BYTES])
def test_the_bar_is_one_line_and_keeps_the_headline(live: Row) -> None:
  lines = shown([(0.0, live), (9.0, live | {'step': live['step'] + 1})])
  *_, bar, end = lines
  assert len(lines) == 4, 'two rows, the bar, and its end'
  assert end == '\x1b[?25h'
  assert len(re.sub('\x1b[^A-Za-z]*[A-Za-z]', '', bar.split('\r')[-1])) <= 80
  headline = 'bits/byte' if 'bits_per_byte' in live['metrics'] else 'acc'
  assert headline in bar


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (2.1128, '2.113'),
    (0.021128, '0.02113'),
    (2112.8, '2113'),
    (1e-5, '1.000e-05'),
    (3.0, '3.000'),
    (math.nan, 'nan'),
    (-math.inf, '-inf'),
  ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
  assert format_number(value) == text


def test_rates_and_durations_are_short() -> None:
  rates = (0.4, 870, 999.7, 4123, 41234, 999999, 1.23e6, 5e10)
  assert [format_magnitude(rate) for rate in rates] == (
    ['0', '870', '1.0k', '4.1k', '41k', '1.0M', '1.2M', '50G']
  )
  spans = (0.2, 59.6, 72, 3723, 90000)
  assert [format_duration(span) for span in spans] == (
    ['0:00', '1:00', '1:12', '1:02:03', '25:00:00']
  )
  assert [format_rate(rate) for rate in (9.14e-4, 0.5, 0.0, 1e-10)] == (
    ['9.1e-4', '5.0e-1', '0.0e0', '1.0e-10']
  )
