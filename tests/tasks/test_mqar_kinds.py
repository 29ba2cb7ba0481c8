"""Recall by keys of two tokens, and by vectors: a dictionary answers."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.recall.mqar_compositional import MQARCompositional
from memjax.tasks.recall.mqar_continuous import MQARContinuous, table
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_features_as_they_were,
  assert_uniform,
  draw,
  score,
)

GRID = MQARCompositional(length=60, grid=2, vocab=36)
VECTORS = MQARContinuous(pairs=4, passes=2, vectors=9, width=5)
ROWS = 300
GOLDEN = 'fd80034cdf9709f9'


def test_two_tokens_tell_the_value_and_one_does_not() -> None:
  batch = draw(GRID, ROWS)
  answers = np.zeros((ROWS, 60), int)
  for b, row in enumerate(np.asarray(batch.inputs)):
    triples = row[:12].reshape(4, 3)
    book = {(one, two): value for one, two, value in triples}
    assert len(book) == len(set(book.values())) == 4
    assert len({one for one, _ in book}) == len({two for _, two in book}) == 2
    for low, column in zip((1, 12, 24), triples.T, strict=True):
      assert low <= column.min() <= column.max() < 12 * (low // 12 + 1)
    (queries,) = np.nonzero(row[12:])
    places = (12 + queries).reshape(4, 2)
    assert (np.diff(places) == 1).all()
    assert ((places[:, 0] - 12) % 3 == 0).all()
    for first, second in places:
      answers[b, second] = book[row[first], row[second]]
  weights = np.asarray(batch.loss_weights_BT)
  np.testing.assert_array_equal(weights > 0, answers > 0)
  scores = score(GRID, np.eye(36)[answers], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  row_L, label_L = np.nonzero(weights)
  shown_L = label_L - np.asarray(batch.score_axis_BT)[row_L, label_L]
  np.testing.assert_array_equal(
    np.asarray(batch.inputs)[row_L, shown_L], answers[row_L, label_L]
  )
  assert GRID.baselines['accuracy'] == {
    'any value': 1 / 12,
    'any value of the row': 1 / 4,
    'any value of the first token': 1 / 2,
  }


def test_fillers_are_random_where_nothing_else_stands() -> None:
  filled = MQARCompositional(length=60, grid=2, vocab=36, random_fillers=True)
  bare, other = (np.asarray(draw(t, ROWS).inputs) for t in (GRID, filled))
  assert_uniform(other[bare == 0], 0, 35)
  assert (other[bare > 0] == bare[bare > 0]).all()


def test_the_most_similar_key_has_the_value() -> None:
  batch = draw(VECTORS, ROWS)
  inputs, targets = map(np.asarray, batch[:2])
  answers = np.zeros((ROWS, 12, 5))
  for b, row in enumerate(inputs):
    keys, values = row[:8, :5], row[:8, 5:]
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, rtol=1e-6)
    assert not row[8:, 5:].any()
    for t in range(8, 12):
      found = np.flatnonzero(keys @ row[t, :5] > 1 - 1e-5)
      assert len(found) == 2  # once in each pass
      assert (found // 4 == [0, 1]).all()
      answers[b, t] = values[found[0]]
      assert batch.score_axis_BT[b, t] == t - found[1]
  np.testing.assert_array_equal(targets, answers)
  weights = np.tile(np.arange(12) >= 8, (ROWS, 1))
  np.testing.assert_array_equal(batch.loss_weights_BT, weights)
  assert score(VECTORS, answers, batch) == {'loss': 0, 'accuracy': 1}
  nothing = score(VECTORS, np.zeros_like(answers), batch)
  assert nothing['loss'] == pytest.approx(1)


def test_random_values_score_the_baseline() -> None:
  batch, rng = draw(VECTORS, ROWS), np.random.default_rng(0)
  _, values = table(9, 5)
  guess = values[rng.integers(0, 9, (ROWS, 12))]
  share = VECTORS.baselines['accuracy']['any value']
  deviation = np.sqrt(share * (1 - share) / (4 * ROWS))
  seen = score(VECTORS, guess, batch)['accuracy']
  assert abs(seen - share) < 4 * deviation


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(GRID, ROWS, GOLDEN)
  assert_features_as_they_were(VECTORS, [0.0728, -0.5755, -0.7134, -0.3543])


@pytest.mark.parametrize('fields', [{'grid': 1}, {'length': 23}, {'vocab': 11}])
def test_a_bad_grid_is_refused(fields: dict) -> None:
  with pytest.raises(ConfigError, match='must be at least'):
    MQARCompositional(**fields)


@pytest.mark.parametrize('fields', [{'pairs': 0}, {'vectors': 7}])
def test_a_bad_number_of_vectors_is_refused(fields: dict) -> None:
  with pytest.raises(ConfigError, match='must be at least'):
    MQARContinuous(**fields)
