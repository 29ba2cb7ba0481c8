"""Functions and automata of a row: ridge regression, and walks by hand."""

import collections

import jax
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.in_context.automata import Automata
from memjax.tasks.in_context.regression import Regression, least_loss
from memjax.types import Batch
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_features_as_they_were,
  draw,
  score,
)

STILL = Regression(length=12, width=3, noise=0.2)
DRIFTS = Regression(length=12, width=3, noise=0.2, drift=0.3)
AUTOMATA = Automata(
  length=60, symbols=6, fewest_states=2, states=4, edges=3, longest=9
)
ROWS = 600
GOLDEN = '84fe83841530e3fb'


def ridge(batch: Batch) -> np.ndarray:
  """The regression on the examples so far, by the normal equations."""
  inputs, answers = (np.asarray(x, np.float64) for x in batch[:2])
  predicted = np.zeros(answers.shape)
  for b in range(len(inputs)):
    for t in range(12):
      x, y = inputs[b, :t, :3], answers[b, :t, 0]
      a = x.T @ x + 3 * 0.2**2 * np.eye(3)
      predicted[b, t, 0] = inputs[b, t, :3] @ np.linalg.solve(a, x.T @ y)
  return predicted


def kriging(batch: Batch, drift: float) -> np.ndarray:
  """The mean of y given all answers so far, from their joint covariance."""
  inputs, answers = (np.asarray(x, np.float64) for x in batch[:2])
  lag = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
  predicted = np.zeros(answers.shape)
  for b in range(len(inputs)):
    x = inputs[b, :, :3]
    signal = (1 - drift) ** (lag / 2) * (x @ x.T) / 3
    covariance = signal + 0.2**2 * np.eye(12)
    for t in range(1, 12):
      weights = np.linalg.solve(covariance[:t, :t], signal[:t, t])
      predicted[b, t, 0] = weights @ answers[b, :t, 0]
  return predicted


def test_ridge_regression_scores_the_least_loss() -> None:
  batch = draw(STILL, ROWS)
  best = STILL.baselines['loss']['optimal']
  seen = score(STILL, ridge(batch), batch)['loss']
  assert seen == pytest.approx(best, rel=0.06)
  np.testing.assert_allclose(kriging(batch, 0), ridge(batch), atol=1e-8)


def test_the_filter_is_best_where_the_function_drifts() -> None:
  batch = draw(DRIFTS, ROWS)
  best = DRIFTS.baselines['loss']['optimal']
  assert score(DRIFTS, kriging(batch, 0.3), batch)['loss'] == pytest.approx(
    best, rel=0.06
  )
  assert score(DRIFTS, ridge(batch), batch)['loss'] > 1.1 * best


@pytest.mark.parametrize('task', [STILL, DRIFTS])
def test_zero_costs_the_variance(task: Regression) -> None:
  batch = draw(task, ROWS)
  seen = score(task, np.zeros((ROWS, 12, 1)), batch)['loss']
  assert seen == pytest.approx(task.baselines['loss']['always 0'], rel=0.1)
  inputs, targets = map(np.asarray, batch[:2])
  np.testing.assert_array_equal(inputs[:, 1:, 3], targets[:, :-1, 0])
  assert not inputs[:, 0, 3].any()
  np.testing.assert_array_equal(batch.score_axis_BT[0], np.arange(12))


def test_the_least_loss_falls_to_the_noise() -> None:
  loss_T = least_loss(64, 3, 0.2, 0.0)
  assert loss_T[0] == pytest.approx(1 + 0.2**2, rel=0.1)
  assert 0.2**2 < loss_T[-1] < 1.1 * 0.2**2


def test_rows_are_walks_of_one_automaton() -> None:
  batch = draw(AUTOMATA, ROWS)
  inputs, targets = map(np.asarray, batch[:2])
  weights = np.asarray(batch.loss_weights_BT)
  np.testing.assert_array_equal(
    targets[:, :-1][weights[:, :-1] > 0], inputs[:, 1:][weights[:, :-1] > 0]
  )
  np.testing.assert_array_equal(inputs[:, 1:][weights[:, :-1] == 0], 6)
  assert (inputs[:, 0] == 6).all()
  for row in inputs:
    text = ''.join('abcdef|'[token] for token in row)
    sizes = [len(string) for string in text.split('|')[1:-1]]
    assert all(5 <= size <= 9 for size in sizes)
    first = {string[0] for string in text.split('|')[1:] if string}
    assert len(first) <= 3  # the edges of state 0


@pytest.mark.slow
def test_the_automaton_known_a_label_costs_the_choice_of_an_edge() -> None:
  keys = jax.random.split(jax.random.key(0), 50)
  symbols, states, edges = map(
    np.asarray, jax.jit(jax.vmap(AUTOMATA.automaton))(keys)
  )
  assert set(np.unique(edges)) == {1, 2, 3}
  assert states.max() == 3
  for row in symbols.reshape(-1, 3):
    assert len(set(row)) == 3
  example = jax.jit(jax.vmap(AUTOMATA.example))(keys)
  inputs, targets = map(np.asarray, example[:2])
  taken: dict[int, collections.Counter] = collections.defaultdict(
    collections.Counter
  )
  drawn = jax.vmap(lambda key: AUTOMATA.automaton(jax.random.split(key)[0]))
  symbols, states, edges = map(np.asarray, jax.jit(drawn)(keys))
  for b in range(50):
    state = 0
    for t in range(60):
      if example.loss_weights_T[b, t] == 0:
        state = 0
        continue
      state = 0 if inputs[b, t] == 6 else state
      allowed = symbols[b, state, : edges[b, state]].tolist()
      assert set(np.flatnonzero(example.allowed_TV[b, t])) == set(allowed)
      edge = allowed.index(targets[b, t])
      taken[len(allowed)][edge] += 1
      state = states[b, state, edge]
  for count, counts in taken.items():
    shares = np.array([counts[i] for i in range(count)]) / counts.total()
    assert np.abs(shares - 1 / count).max() < 4 * 0.5 / counts.total() ** 0.5


def test_a_prediction_that_the_automaton_allows_is_counted() -> None:
  batch = draw(AUTOMATA, ROWS)
  allowed = np.asarray(batch.allowed_BTV, np.float64)
  weights = np.asarray(batch.loss_weights_BT)
  rng = np.random.default_rng(0)
  free = rng.random(allowed.shape)
  assert score(AUTOMATA, allowed + 0.5 * free, batch)['allowed'] == 1
  assert score(AUTOMATA, -allowed, batch)['allowed'] == 0
  assert score(AUTOMATA, np.zeros(allowed.shape), batch)['allowed'] == 0
  choice = free[..., :6].argmax(-1)
  right = np.take_along_axis(allowed, choice[..., None], -1)[..., 0]
  expected = (right * weights).sum() / weights.sum()
  seen = score(AUTOMATA, np.eye(7)[choice], batch)['allowed']
  assert seen == pytest.approx(expected, rel=1e-6)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(AUTOMATA, ROWS, GOLDEN)
  shown = [1.8279, 1.1133, 2.2277]
  assert_features_as_they_were(STILL, [*shown, -0.1071])
  assert_features_as_they_were(DRIFTS, [*shown, 0.7150])


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (Regression, {'length': 1}, 'length: 1: must be at least 2'),
    (Regression, {'noise': -1.0}, 'noise: -1.0: must be at least 0'),
    (Regression, {'drift': 1.5}, 'drift: 1.5: must be from 0 to 1'),
    (Automata, {'edges': 19}, 'edges: 19: must be from 1 to symbols, 18'),
    (Automata, {'states': 3}, 'states: 3: must be at least fewest_states, 4'),
  ],
)
def test_a_bad_field_is_refused(task: type, fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    task(**fields)
