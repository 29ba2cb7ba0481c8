"""MQAROverwrite: a dictionary that forgets wins, stale values do not."""

import math

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from memjax.errors import ConfigError
from memjax.tasks.recall.mqar_overwrite import MQAROverwrite
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

LENGTH, KEYS, WRITES, VOCAB, ROWS = 24, 3, 6, 40, 2000
TASK = MQAROverwrite(length=LENGTH, keys=KEYS, writes=WRITES, vocab=VOCAB)
GOLDEN = '2766d3584fec799f'
SHOWN = 2 * WRITES


def oracle(tokens: np.ndarray) -> list[int]:
  """Reads a row from left to right with a dictionary."""
  known: dict[int, int] = {}
  key, predicted = 0, []
  for token in tokens:
    if token >= VOCAB // 2:
      known[key] = token
    key = token
    predicted.append(known.get(token, 0))
  return predicted


def written(row: np.ndarray) -> dict[int, list[int]]:
  """Every key of a row with its values, the last one last."""
  values: dict[int, list[int]] = {}
  for key, value in row[:SHOWN].reshape(-1, 2):
    values.setdefault(key, []).append(value)
  return values


def guesses(batch: Batch) -> dict[str, np.ndarray]:
  """Answers of oracles with less and less knowledge."""
  rng = np.random.default_rng(0)
  inputs, weights = np.asarray(batch.inputs), np.asarray(batch.loss_weights_BT)
  first, some = np.zeros_like(inputs), np.zeros_like(inputs)
  for b, row in enumerate(inputs):
    values = written(row)
    for t in np.flatnonzero(weights[b]):
      first[b, t] = values[row[t]][0]
      some[b, t] = rng.choice(values[row[t]])
  any_write = rng.integers(0, WRITES, (ROWS, LENGTH))
  return {
    'any value': rng.integers(VOCAB // 2, VOCAB, (ROWS, LENGTH)),
    'any value of the row': np.take_along_axis(
      inputs[:, 1:SHOWN:2], any_write, 1
    ),
    'any value of the key': some,
    'first value of the key': first,
  }


def test_a_row_is_as_specified() -> None:
  batch = draw(TASK, ROWS)
  for row, targets, weights in zip(*map(np.asarray, batch[:3]), strict=True):
    values = written(row)
    assert len(values) <= KEYS
    assert all(1 <= key < VOCAB // 2 for key in values)
    every = [value for of_key in values.values() for value in of_key]
    assert len(set(every)) == WRITES
    assert all(VOCAB // 2 <= value < VOCAB for value in every)
    queries = np.flatnonzero(row[SHOWN:]) + SHOWN
    assert sorted(row[queries]) == sorted(values)
    assert all(queries % 2 == 0)
    np.testing.assert_array_equal(np.flatnonzero(weights), queries)
    np.testing.assert_array_equal(np.flatnonzero(targets), queries)
    assert [values[key][-1] for key in row[queries]] == list(targets[queries])


def test_keys_values_and_places_are_uniform() -> None:
  batch = draw(TASK, ROWS)
  inputs = np.asarray(batch.inputs)
  for place in range(0, SHOWN, 2):
    assert_uniform(inputs[:, place], 1, VOCAB // 2 - 1)
    assert_uniform(inputs[:, place + 1], VOCAB // 2, VOCAB - 1)
  n = np.arange(WRITES)
  again = (inputs[:, 2:SHOWN:2] == inputs[:, :1]).sum(axis=1)
  expected = ROWS * binom.pmf(n, WRITES - 1, 1 / KEYS)
  assert chisquare(np.bincount(again, minlength=WRITES), expected).pvalue > 1e-4
  of_first = (inputs[:, SHOWN:] == inputs[:, :1]).argmax(axis=1)
  assert_uniform(of_first // 2, 0, (LENGTH - SHOWN) // 2 - 1)


def test_the_distance_leads_back_to_the_last_write() -> None:
  batch = draw(TASK, ROWS)
  b, t = np.nonzero(batch.loss_weights_BT)
  inputs = np.asarray(batch.inputs)
  shown = t - np.asarray(batch.score_axis_BT)[b, t]
  assert (shown < SHOWN).all()
  np.testing.assert_array_equal(inputs[b, shown], batch.targets[b, t])
  np.testing.assert_array_equal(inputs[b, shown - 1], inputs[b, t])


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, 20 * np.eye(VOCAB)[predicted], batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)
  assert scores['loss'] < 1e-6


def test_oracles_with_less_knowledge_score_the_baselines() -> None:
  batch = draw(TASK, ROWS)
  labels = float(batch.loss_weights_BT.sum())
  played = guesses(batch)
  assert played.keys() == TASK.baselines['accuracy'].keys()
  for name, guess in played.items():
    share = TASK.baselines['accuracy'][name]
    accuracy = score(TASK, np.eye(VOCAB)[guess], batch)['accuracy']
    deviation = math.sqrt(share * (1 - share) / labels)
    assert abs(accuracy - share) < 4 * deviation, name


def test_doubt_costs_the_baseline_loss() -> None:
  """Equal probabilities for every value that the oracle considers possible."""
  batch = draw(TASK, ROWS)
  y = np.full((3, ROWS, LENGTH, VOCAB), -1e4)
  y[0, ..., VOCAB // 2 :] = 0
  inputs = np.asarray(batch.inputs)
  np.put_along_axis(y[1], inputs[:, None, 1:SHOWN:2], 0, axis=2)
  for b, t in np.argwhere(np.asarray(batch.loss_weights_BT)):
    y[2, b, t, written(inputs[b])[inputs[b, t]]] = 0
  expected = TASK.baselines['loss']
  names = ('any value', 'any value of the row', 'any value of the key')
  for name, logits, rel in zip(names, y, (1e-5, 1e-5, 0.05), strict=True):
    loss = score(TASK, logits, batch)['loss']
    assert loss == pytest.approx(expected[name], rel=rel), name


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'keys': 0}, 'keys: 0: must be at least 1'),
    ({'writes': 0}, 'writes: 0: must be at least 1'),
    ({'length': 129}, 'length: 129: must be even'),
    ({'length': 78}, 'length: 78: must be at least 2 x writes .* 80'),
    ({'vocab': 63}, 'vocab: 63: must be at least .* 64'),
    ({'vocab': 21, 'keys': 10, 'writes': 1}, 'vocab: 21: .* 22'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    MQAROverwrite(**fields)


def test_the_smallest_task_works() -> None:
  task = MQAROverwrite(length=4, keys=1, writes=1, vocab=4)
  batch = draw(task, 3)
  np.testing.assert_array_equal(batch.inputs[:, 0], 1)
  np.testing.assert_array_equal(batch.inputs[:, 2:], [[1, 0]] * 3)
  assert task.baselines['accuracy']['first value of the key'] == 1
