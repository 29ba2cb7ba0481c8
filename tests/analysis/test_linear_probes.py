"""Probes recover what a memory is known to store, and nothing else."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis import ridge
from memjax.analysis.linear_probes import fit_probes
from memjax.errors import ConfigError
from memjax.tasks.language.text import Text
from tests.analysis.known import DelayLine, LeakyIntegrator, Noise, RepeatToken

ROWS, BATCHES = 32, 15


def test_a_delay_line_stores_its_last_tokens_and_no_others() -> None:
  task, lags = RepeatToken(), np.arange(6)
  model = DelayLine(task.vocab, 3)
  found = fit_probes(model, {'sure': jnp.ones(2)}, task, lags, ROWS, BATCHES)
  assert found.metric == 'accuracy'
  assert found.states == ROWS * BATCHES // 5
  deviation = np.sqrt(1 / task.vocab * (1 - 1 / task.vocab) / found.states)
  assert set(found.score) == {'all'}
  np.testing.assert_array_equal(found.score['all'][:, :3], 1)
  wrong_NL = np.abs(found.score['all'][:, 3:] - 1 / task.vocab)
  assert (wrong_NL < 4 * deviation).all()
  assert (np.abs(found.chance - 1 / task.vocab) < 4 * deviation).all()
  np.testing.assert_allclose(found.entropy, 2, atol=0.02)


def test_a_leaky_trace_stores_what_its_decay_leaves() -> None:
  """h is the sum of decay^l x_(t-l). x_(t-lag) explains the share
  decay^(2 lag) (1 - decay^2) of its variance, divided by 1 - decay^(2 t + 2)
  while the trace is short."""
  task, decays, lags = Noise(), np.array([0.8, 0.4]), np.array([0, 1, 2, 4, 8])
  found = fit_probes(
    LeakyIntegrator(task.width), {'decay': jnp.asarray(decays)}, task, lags, 64
  )
  assert found.metric == 'R2'
  steps_T = np.linspace(8, task.length - 1, 64).round()
  squares_N1 = decays[:, None] ** 2
  age_T = (1 - squares_N1 ** (steps_T + 1)).mean(1, keepdims=True)
  wanted_NL = squares_N1**lags * (1 - squares_N1) / age_T
  error = np.abs(found.score['all'] - wanted_NL)
  deviation = np.sqrt(4 * wanted_NL / (task.width * found.states)) + 0.01
  assert (error < 3 * deviation).all()
  np.testing.assert_array_equal(found.chance, 0)
  assert np.isnan(found.entropy).all()


def test_the_dual_form_equals_the_regression_on_the_numbers() -> None:
  rng = np.random.default_rng(0)
  x_SX, weights = rng.normal(size=(50, 4)), rng.normal(size=(4, 3))
  y_SLO = (x_SX @ weights + rng.normal(size=(50, 3)))[:, None]
  predicted = ridge.predict(ridge.kernel(x_SX), y_SLO)[:, 0]
  fit, chosen = 30, 40
  x = x_SX - x_SX[:fit].mean(0)
  x /= np.sqrt(np.square(x[:fit]).sum(1).mean())
  mean = y_SLO[:fit, 0].mean(0)
  best = np.inf
  for strength in ridge.STRENGTHS:
    square = x[:fit].T @ x[:fit] + strength * fit * np.eye(4)
    map_XO = np.linalg.solve(square, x[:fit].T @ (y_SLO[:fit, 0] - mean))
    answers = x @ map_XO + mean
    error = np.square(answers[fit:chosen] - y_SLO[fit:chosen, 0]).sum()
    if error < best:
      best, wanted = error, answers[chosen:]
  np.testing.assert_allclose(predicted, wanted, rtol=1e-8, atol=1e-8)


def test_integers_are_one_hot_codes_and_constants_are_nothing() -> None:
  ids_SX = np.random.default_rng(0).integers(0, 3, (20, 4))
  codes = np.eye(3)[ids_SX].reshape(20, -1)
  np.testing.assert_allclose(ridge.kernel(ids_SX), ridge.kernel(codes))
  constant = np.full((20, 4), 0.1, np.float32)
  np.testing.assert_array_equal(ridge.kernel(constant), 0)


def test_a_text_is_probed_at_the_end_of_its_segments(tmp_path: Path) -> None:
  letters = np.random.default_rng(0).choice(list(b'abcd'), 30_000)
  (tmp_path / 'a.txt').write_bytes(bytes(letters.tolist()))
  task = Text(
    corpus='files', path=str(tmp_path / 'a.txt'), tokens='characters', length=4
  )
  model = DelayLine(task.input_spec.vocab, 6)
  found = fit_probes(
    model, {'sure': jnp.ones(1)}, task, np.arange(4), ROWS, BATCHES
  )
  np.testing.assert_array_equal(found.score['all'], 1)
  assert (found.chance < 0.4).all()


class Forgetful(DelayLine):
  """Has an empty carry."""

  def initial_carry(self, batch_size: int) -> Any:
    return ()


@pytest.mark.parametrize(
  ('lags', 'message'),
  [
    ([], 'must increase'),
    ([3, 2], 'must increase'),
    ([-1, 2], 'must increase'),
    ([0, 24], 'to at most 23'),
  ],
)
def test_lags_out_of_bounds_are_refused(lags: list[int], message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    fit_probes(
      DelayLine(4, 3), {'sure': jnp.ones(1)}, RepeatToken(), np.array(lags)
    )


def test_too_few_states_and_empty_carries_are_refused() -> None:
  params, lags = {'sure': jnp.ones(1)}, np.array([1])
  with pytest.raises(ConfigError, match='9 states; at least 10'):
    fit_probes(DelayLine(4, 3), params, RepeatToken(), lags, 3, 3)
  with pytest.raises(ConfigError, match='empty carry'):
    fit_probes(Forgetful(4, 3), params, RepeatToken(), lags)
