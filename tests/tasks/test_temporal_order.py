"""Temporal order: an oracle with two or three slots scores everything."""

import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.long_range.temporal_order import TemporalOrder
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

ROWS = 2000
A, B = TemporalOrder(symbols=2), TemporalOrder(symbols=3)
GOLDEN = {A: 'd54b2ffff4da4a02', B: '0b351aac142056c3'}
LETTERS = ' EBabcdXY'
PLACES = {A: [(10, 20), (50, 60)], B: [(10, 20), (33, 43), (66, 76)]}
CLASSES = {
  A: ['XX', 'XY', 'YX', 'YY'],
  B: ['XXX', 'XXY', 'XYX', 'XYY', 'YXX', 'YXY', 'YYX', 'YYY'],
}
both = pytest.mark.parametrize('task', [A, B], ids=['6a', '6b'])


def spelt(row: np.ndarray) -> str:
  return ''.join(LETTERS[token] for token in row)


def oracle(task: TemporalOrder, row: np.ndarray) -> list[int]:
  """Reads a row from left to right, notes X and Y, and answers at the B."""
  noted, predicted = '', []
  for letter in spelt(row):
    noted += letter if letter in 'XY' else ''
    predicted.append(CLASSES[task].index(noted) if letter == 'B' else 0)
  return predicted


@pytest.mark.fast_cases(1)
@both
def test_a_row_is_that_of_the_paper(task: TemporalOrder) -> None:
  batch = draw(task, ROWS)
  lengths, places, symbols = [], [], []
  for row, targets, weights in zip(*map(np.asarray, batch[:3]), strict=True):
    padded = spelt(row)
    text = padded.rstrip(' ')
    assert len(padded) == 110
    assert (text[0], text[-1]) == ('E', 'B')
    assert set(text[1:-1]) <= set('abcdXY')
    at = [t for t, letter in enumerate(text) if letter in 'XY']
    assert len(at) == task.symbols
    order = ''.join(text[t] for t in at)
    label = CLASSES[task].index(order)
    assert list(np.flatnonzero(weights)) == [len(text) - 1]
    assert targets[len(text) - 1] == label
    assert targets.sum() == label
    lengths.append(len(text))
    places.append(at)
    symbols.append(label)
  assert_uniform(np.array(lengths), 100, 110)
  assert_uniform(np.array(symbols), 0, 2**task.symbols - 1)
  for at, (low, high) in zip(np.array(places).T, PLACES[task], strict=True):
    assert_uniform(at, low, high)


@both
def test_distractors_are_uniform(task: TemporalOrder) -> None:
  inputs = np.asarray(draw(task, ROWS).inputs)
  for t in (1, 5, 30, 98):
    assert_uniform(inputs[:, t], 3, 6)


@both
def test_the_distance_leads_back_to_the_first_symbol(
  task: TemporalOrder,
) -> None:
  batch = draw(task, ROWS)
  inputs = np.asarray(batch.inputs)
  end = np.asarray(batch.loss_weights_BT).argmax(axis=1)
  first = end - np.asarray(batch.score_axis_BT)[np.arange(ROWS), end]
  np.testing.assert_array_equal(first, (inputs >= 7).argmax(axis=1))


@both
def test_the_oracle_scores_everything(task: TemporalOrder) -> None:
  batch = draw(task, ROWS)
  predicted = np.array([oracle(task, row) for row in np.asarray(batch.inputs)])
  scores = score(task, 20 * np.eye(2**task.symbols)[predicted], batch)
  assert scores['accuracy'] == 1
  assert scores['loss'] < 1e-6


@both
def test_guessing_scores_the_baselines(task: TemporalOrder) -> None:
  batch, orders = draw(task, ROWS), 2**task.symbols
  guess = np.random.default_rng(0).integers(0, orders, (ROWS, 110))
  accuracy = score(task, np.eye(orders)[guess], batch)['accuracy']
  share = task.baselines['accuracy']['chance']
  assert abs(accuracy - share) < 4 * math.sqrt(share * (1 - share) / ROWS)
  loss = score(task, np.zeros((ROWS, 110, orders)), batch)['loss']
  assert loss == pytest.approx(math.log(orders), rel=1e-5)
  assert loss == pytest.approx(task.baselines['loss']['chance'], rel=1e-5)


@both
def test_the_data_is_what_it_was(task: TemporalOrder) -> None:
  assert_as_it_was(task, ROWS, GOLDEN[task])


@pytest.mark.parametrize('symbols', [1, 4])
def test_a_bad_field_is_refused(symbols: int) -> None:
  with pytest.raises(ConfigError, match=f'symbols: {symbols}: must be 2 or 3'):
    TemporalOrder(symbols=symbols)
