"""Counters: an oracle that counts the first letters knows the rest."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.state_tracking.counters import Counters
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

TASK = Counters(letters=3, shortest=2, longest=6)
ROWS = 400
GOLDEN = '0530bcf679ab0709'


def test_the_oracle_counts() -> None:
  batch = draw(TASK, ROWS)
  answers = np.zeros((ROWS, 18), int)
  for b, row in enumerate(np.asarray(batch.inputs)):
    text = ''.join('abc.'[token] for token in row)
    n = text.index('b')
    whole = 'a' * n + 'b' * n + 'c' * n + '.'
    assert (text + '.' * 18).startswith(whole)
    assert set(batch.score_axis_BT[b, n : 3 * n].tolist()) == {n}
    labelled = [n <= t < 3 * n for t in range(18)]
    np.testing.assert_array_equal(batch.loss_weights_BT[b], labelled)
    answers[b, : 3 * n] = ['abc.'.index(letter) for letter in whole[1:]]
  scores = score(TASK, np.eye(4)[answers], batch)
  assert scores['accuracy'] == scores['exact_match'] == scores['switches'] == 1


def test_the_same_letter_scores_the_baseline() -> None:
  batch = draw(TASK, ROWS)
  scores = score(TASK, np.eye(4)[np.asarray(batch.inputs)], batch)
  share = TASK.baselines['accuracy']['the same letter']
  assert abs(scores['accuracy'] - share) < 0.02
  assert scores['switches'] == scores['exact_match'] == 0
  assert_uniform(np.asarray(batch.score_axis_BT).max(axis=1), 2, 6)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize('fields', [{'letters': 1}, {'longest': 0}])
def test_a_bad_field_is_refused(fields: dict) -> None:
  with pytest.raises(ConfigError, match='must be at least'):
    Counters(**fields)
