"""Frequent words: an oracle that counts scores everything, guesses chance."""

from collections import Counter
import math

import numpy as np
import pytest
from scipy.stats import chisquare

from memjax.errors import ConfigError
from memjax.tasks.ruler.frequent_word_extraction import FrequentWordExtraction
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

V, K, ROWS = 12, 3, 2000
TASK = FrequentWordExtraction(
  vocab=V, words=5, shortest=4, longest=15, queries=K, power=1.0
)
GOLDEN = '10aac9599338b346'


def oracle(tokens: list[int]) -> list[int]:
  """Reads from left to right; a Counter gives equals as they came."""
  times: Counter[int] = Counter()
  predicted = []
  best: list[int] = []
  for token in tokens:
    if token < V:
      times[token] += 1
      best = [word for word, _ in times.most_common()]
    predicted.append(best.pop(0) if token == V and best else 0)
  return predicted


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array(
    [oracle(row) for row in np.asarray(batch.inputs).tolist()]
  )
  np.testing.assert_array_equal(predicted, batch.targets)
  scores = score(TASK, 40 * np.eye(V)[predicted], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  assert scores['loss'] < 1e-6


def test_a_row_is_as_specified() -> None:
  batch = draw(TASK, ROWS)
  inputs = np.asarray(batch.inputs)
  counts = (inputs < V).sum(axis=1)
  assert_uniform(counts, 4, 15)
  for row, n, weights, length in zip(
    inputs,
    counts,
    batch.loss_weights_BT,
    np.asarray(batch.score_axis_BT),
    strict=True,
  ):
    assert (row[:n] < V).all()
    assert row[n:].tolist() == [V] * K + [V + 1] * (15 - n)
    different = min(K, len(set(row[:n].tolist())))
    assert different <= 5
    labelled = np.zeros(15 + K)
    labelled[n : n + different] = 1
    np.testing.assert_array_equal(weights, labelled)
    np.testing.assert_array_equal(length, labelled * n)


def test_words_follow_zipf() -> None:
  """The chances are those of ranks, so counts of equal pairs are known."""
  assert_uniform(np.asarray(draw(TASK, ROWS).inputs[:, 0]), 0, V - 1)
  task = FrequentWordExtraction(
    vocab=2, words=2, shortest=3, longest=3, queries=1
  )
  inputs = np.asarray(draw(task, ROWS).inputs[:, :3])
  same = (inputs == inputs[:, :1]).sum(axis=1)
  p = 4 / 5  # 1 against 1/4
  whole = p**3 + (1 - p) ** 3
  counts = [(same == 3).sum(), (same != 3).sum()]
  expected = [ROWS * whole, ROWS * (1 - whole)]
  assert chisquare(counts, expected).pvalue > 1e-4


def test_guessing_scores_the_baselines() -> None:
  batch, rng = draw(TASK, ROWS), np.random.default_rng(0)
  guess = np.eye(V)[rng.integers(0, V, (ROWS, 15 + K))]
  chance = TASK.baselines['accuracy']['chance']
  labels = float(batch.loss_weights_BT.sum())
  deviation = math.sqrt(chance * (1 - chance) / labels)
  assert abs(score(TASK, guess, batch)['accuracy'] - chance) < 4 * deviation
  loss = score(TASK, 0 * guess, batch)['loss']
  assert loss == pytest.approx(TASK.baselines['loss']['chance'], rel=1e-5)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'words': 0}, 'words: 0: must be at least 1'),
    ({'queries': 0}, 'queries: 0: must be at least 1'),
    ({'queries': 65}, 'queries: 65: must be at most words, 64'),
    ({'vocab': 63}, 'vocab: 63: must be at least words, 64'),
    ({'longest': 63}, 'longest: 63: must be at least shortest, 64'),
    ({'power': -1.0}, 'power: -1.0: must be at least 0'),
    ({'power': math.nan}, 'power: nan'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    FrequentWordExtraction(**fields)


def test_the_smallest_task_works() -> None:
  task = FrequentWordExtraction(
    vocab=1, words=1, shortest=1, longest=1, queries=1
  )
  assert draw(task, 2).inputs.tolist() == [[0, 1]] * 2
