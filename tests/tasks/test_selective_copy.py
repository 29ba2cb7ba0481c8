"""Selective copy: an oracle with a list scores everything, without: chance."""

import math

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from memjax.errors import ConfigError
from memjax.tasks.recall.selective_copy import SelectiveCopy
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

LENGTH, VOCAB, SYMBOLS, ROWS = 20, 7, 4, 2000
TASK = SelectiveCopy(length=LENGTH, vocab=VOCAB, symbols=SYMBOLS)
GOLDEN = '463d32bb001e48e5'
BLANK, COPY = VOCAB - 2, VOCAB - 1


def oracle(tokens: np.ndarray) -> list[int]:
  """Reads a row from left to right; repeats symbols after the copy token."""
  kept: list[int] = []
  copying, predicted = False, []
  for token in tokens:
    if token < BLANK:
      kept.append(token)
    predicted.append(kept.pop(0) if copying else 0)
    copying = copying or token == COPY
  return predicted


def test_a_row_is_as_specified() -> None:
  batch = draw(TASK, ROWS)
  inputs = np.asarray(batch.inputs)
  answer_start = LENGTH - SYMBOLS
  assert (inputs[:, answer_start:] == BLANK).all()
  assert (inputs[:, answer_start - 1] == COPY).all()
  assert (inputs[:, answer_start - 2] < BLANK).all()
  assert ((inputs < BLANK).sum(axis=1) == SYMBOLS).all()
  assert ((inputs == COPY).sum(axis=1) == 1).all()
  for row, targets, weights in zip(*map(np.asarray, batch[:3]), strict=True):
    assert list(targets[answer_start:]) == list(row[row < BLANK])
    assert not targets[:answer_start].any()
    assert list(weights) == [0] * answer_start + [1] * SYMBOLS


def test_symbols_are_uniform_and_blanks_fall_anywhere() -> None:
  inputs = np.asarray(draw(TASK, ROWS).inputs)
  places = np.nonzero(inputs < BLANK)[1].reshape(ROWS, SYMBOLS)
  for place in places.T:
    assert_uniform(inputs[np.arange(ROWS), place], 0, BLANK - 1)
  blanks = LENGTH - 2 * SYMBOLS - 1
  n = np.arange(blanks + 1)
  expected = ROWS * binom.pmf(n, blanks, 1 / SYMBOLS)
  likely = expected > 5
  for before in np.diff(places, axis=1, prepend=-1).T - 1:
    seen = np.bincount(before, minlength=blanks + 1)
    counts = [*seen[likely], seen[~likely].sum()]
    wanted = [*expected[likely], expected[~likely].sum()]
    assert chisquare(counts, wanted).pvalue > 1e-4


def test_the_distance_leads_back_to_the_symbol() -> None:
  batch = draw(TASK, ROWS)
  b, t = np.nonzero(batch.loss_weights_BT)
  shown = t - np.asarray(batch.score_axis_BT)[b, t]
  np.testing.assert_array_equal(batch.inputs[b, shown], batch.targets[b, t])
  assert (np.diff(shown.reshape(ROWS, SYMBOLS)) > 0).all()


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, 20 * np.eye(VOCAB)[predicted], batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)
  assert scores['loss'] < 1e-6


def test_guessing_scores_the_baselines() -> None:
  guess = np.random.default_rng(0).integers(0, BLANK, (ROWS, LENGTH))
  scores = score(TASK, np.eye(VOCAB)[guess], draw(TASK, ROWS))
  for name, count in (('accuracy', ROWS * SYMBOLS), ('exact_match', ROWS)):
    share = TASK.baselines[name]['any symbol']
    deviation = math.sqrt(share * (1 - share) / count)
    assert abs(scores[name] - share) < 4 * deviation, name
  y = np.zeros((ROWS, LENGTH, VOCAB))
  y[..., BLANK:] = -1e4
  expected = TASK.baselines['loss']['any symbol']
  loss = score(TASK, y, draw(TASK, ROWS))['loss']
  assert loss == pytest.approx(expected, rel=1e-5)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'symbols': 0}, 'symbols: 0: must be at least 1'),
    ({'length': 32}, 'length: 32: must be at least 2 x symbols \\+ 1, 33'),
    ({'vocab': 3}, 'vocab: 3: must be at least 4'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    SelectiveCopy(**fields)


def test_the_smallest_task_works() -> None:
  batch = draw(SelectiveCopy(length=3, vocab=4, symbols=1), 20)
  np.testing.assert_array_equal(batch.inputs[:, 1:], [[3, 2]] * 20)
  np.testing.assert_array_equal(batch.targets[:, 2], batch.inputs[:, 0])
