"""Multi-query recall: an oracle with a dictionary scores everything."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.draws import distinct
from memjax.tasks.recall.mqar import MQAR
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw

LENGTH, PAIRS, VOCAB, ROWS = 32, 4, 64, 400
TASK = MQAR(length=LENGTH, pairs=PAIRS, vocab=VOCAB)
GOLDEN = '894b5753ca4a309e'


def score(answers_BT: np.ndarray, batch: Batch) -> dict[str, float]:
  y = jnp.asarray(20 * np.eye(VOCAB)[answers_BT], jnp.float32)
  measured = TASK.measure(y, batch)
  return {name: float(metric.value()) for name, metric in measured.items()}


def oracle(tokens: np.ndarray) -> np.ndarray:
  """Reads a row from left to right with a dictionary."""
  known: dict[int, int] = {}
  key, predicted = 0, []
  for token in tokens:
    if token >= VOCAB // 2:
      known[key] = token
    key = token
    predicted.append(known.get(token, 0))
  return np.array(predicted)


def test_a_row_has_the_shape_of_the_paper() -> None:
  batch = draw(TASK, ROWS)
  for row, targets, weights in zip(*map(np.asarray, batch[:3]), strict=True):
    keys, values = row[: 2 * PAIRS : 2], row[1 : 2 * PAIRS : 2]
    assert len(set(keys)) == len(set(values)) == PAIRS
    assert all(1 <= key < VOCAB // 2 for key in keys)
    assert all(VOCAB // 2 <= value < VOCAB for value in values)
    queries = np.flatnonzero(row[2 * PAIRS :]) + 2 * PAIRS
    assert sorted(row[queries]) == sorted(keys)
    assert all(queries % 2 == 0)
    np.testing.assert_array_equal(np.flatnonzero(weights), queries)
    np.testing.assert_array_equal(np.flatnonzero(targets), queries)
    book = dict(zip(keys, values, strict=True))
    assert [book[key] for key in row[queries]] == list(targets[queries])


def test_the_distance_leads_back_to_the_value() -> None:
  batch = draw(TASK, ROWS)
  b, t = np.nonzero(batch.loss_weights_BT)
  shown = t - np.asarray(batch.score_axis_BT)[b, t]
  assert (shown < 2 * PAIRS).all()
  np.testing.assert_array_equal(batch.inputs[b, shown], batch.targets[b, t])


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  answers = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(answers, batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)
  assert scores['loss'] < 1e-6


def test_one_wrong_label_spoils_its_row_only() -> None:
  batch = draw(TASK, ROWS)
  answers = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  answers[7, np.flatnonzero(batch.loss_weights_BT[7])[-1]] = 0
  scores = score(answers, batch)
  assert scores['exact_match'] == pytest.approx((ROWS - 1) / ROWS)
  labels = ROWS * PAIRS
  assert scores['accuracy'] == pytest.approx((labels - 1) / labels)


def test_guessing_scores_the_baselines() -> None:
  batch, rng = draw(TASK, ROWS), np.random.default_rng(0)
  values_BP = np.asarray(batch.inputs)[:, 1 : 2 * PAIRS : 2]
  guesses = {
    'any value': rng.integers(VOCAB // 2, VOCAB, (ROWS, LENGTH)),
    'any value of the row': np.take_along_axis(
      values_BP, rng.integers(0, PAIRS, (ROWS, LENGTH)), 1
    ),
  }
  for name, guess in guesses.items():
    share = TASK.baselines['accuracy'][name]
    deviation = math.sqrt(share * (1 - share) / (ROWS * PAIRS))
    assert abs(score(guess, batch)['accuracy'] - share) < 4 * deviation, name


def test_spreading_over_the_values_scores_the_baseline_loss() -> None:
  batch = draw(TASK, ROWS)
  y_V = jnp.where(jnp.arange(VOCAB) < VOCAB // 2, -1e4, 0.0)
  y = jnp.broadcast_to(y_V, (ROWS, LENGTH, VOCAB))
  loss = TASK.measure(y, batch)['loss']
  assert loss.count == ROWS * PAIRS
  expected = TASK.baselines['loss']['any value']
  assert loss.value() == pytest.approx(expected, rel=1e-5)


def test_keys_and_values_are_uniform() -> None:
  inputs = np.asarray(draw(MQAR(length=8, pairs=2, vocab=12), 4000).inputs)
  for place, choices in ((0, 5), (1, 6), (2, 5), (3, 6)):
    counts = np.unique(inputs[:, place], return_counts=True)[1]
    assert len(counts) == choices
    chi2 = ((counts - 4000 / choices) ** 2 / (4000 / choices)).sum()
    assert chi2 < 25.7, place  # 5 degrees of freedom, one in 10,000


@pytest.mark.parametrize('power', [0.01, 1.0])
def test_gaps_follow_the_power_law(power: float) -> None:
  """The law of the first key's gap, and of the second's given the first."""
  task = MQAR(length=14, pairs=2, vocab=12, power=power)
  inputs = np.asarray(draw(task, 6000).inputs)
  gaps = np.stack(
    [(inputs[:, 4:] == inputs[:, [i]]).argmax(1) // 2 for i in (0, 2)]
  )
  p = np.arange(1, 6) ** (power - 1)
  p /= p.sum()
  joint = p[:, None] * p / (1 - p[:, None]) * (1 - np.eye(5))
  expected = 6000 * joint
  counts = np.zeros((5, 5))
  np.add.at(counts, tuple(gaps), 1)
  assert counts.sum() == 6000
  assert (np.diag(counts) == 0).all()
  off = ~np.eye(5, dtype=bool)
  chi2 = ((counts - expected)[off] ** 2 / expected[off]).sum()
  assert chi2 < 50.8  # 19 degrees of freedom, one in 10,000


def test_every_ordered_choice_is_as_likely() -> None:
  keys = jax.random.split(jax.random.key(0), 6000)
  choose = jax.jit(jax.vmap(lambda key: distinct(key, 3, 5)))
  drawn = np.asarray(choose(keys))
  choices, counts = np.unique(drawn, axis=0, return_counts=True)
  assert len(choices) == 60
  assert all(len(set(choice)) == 3 for choice in choices)
  chi2 = ((counts - 100) ** 2 / 100).sum()
  assert chi2 < 106.0  # 59 degrees of freedom, less than one in 5,000


@pytest.mark.parametrize(('count', 'size'), [(1, 1), (64, 64), (64, 4095)])
def test_a_choice_never_repeats(count: int, size: int) -> None:
  keys = jax.random.split(jax.random.key(1), 50)
  choose = jax.jit(jax.vmap(lambda key: distinct(key, count, size)))
  drawn = np.asarray(choose(keys))
  assert drawn.min() >= 0
  assert drawn.max() < size
  assert all(len(set(row)) == count for row in drawn)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.slow
def test_passes_come_one_after_another_and_fillers_are_random() -> None:
  task = MQAR(length=32, pairs=2, vocab=16, passes=3, random_fillers=True)
  batch = draw(task, ROWS)
  inputs, bare = (
    np.asarray(draw(t, ROWS).inputs)
    for t in (task, dataclasses.replace(task, random_fillers=False))
  )
  np.testing.assert_array_equal(
    inputs[:, :12].reshape(-1, 3, 4)[:, 1:],
    np.repeat(inputs[:, None, :4], 2, axis=1),
  )
  assert_uniform(inputs[bare == 0], 0, 15)
  assert (inputs[bare > 0] == bare[bare > 0]).all()
  b, t = np.nonzero(batch.loss_weights_BT)
  shown = t - np.asarray(batch.score_axis_BT)[b, t]
  np.testing.assert_array_equal(inputs[b, shown], batch.targets[b, t])
  assert ((shown >= 8) & (shown < 12)).all()
  assert len(b) == 2 * ROWS


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'length': 33}, 'length: 33: must be even'),
    ({'length': 12}, 'length: 12: must be at least 4 x pairs, 16'),
    ({'length': -64}, 'length: -64'),
    ({'length': 16, 'passes': 2}, 'length: 16: must be at least 6 x pairs, 24'),
    ({'passes': 0}, 'passes: 0: must be at least 1'),
    ({'pairs': 0}, 'pairs: 0: must be at least 1'),
    ({'pairs': -1}, 'pairs: -1: must be at least 1'),
    ({'vocab': 9}, 'vocab: 9: must be at least 2 x pairs \\+ 2, 10'),
    ({'vocab': -8}, 'vocab: -8'),
    ({'power': 0.0}, 'power: 0.0: must be above 0'),
    ({'power': math.nan}, 'power: nan'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    MQAR(**fields)


def test_the_smallest_task_works() -> None:
  batch = draw(MQAR(length=4, pairs=1, vocab=4), 3)
  np.testing.assert_array_equal(batch.inputs[:, 0], 1)
  np.testing.assert_array_equal(batch.inputs[:, 2:], [[1, 0]] * 3)
