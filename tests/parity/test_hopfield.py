"""Modern Hopfield networks: the paper's update in float64, and retrieval."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.networks.hopfield import HopfieldMemory
from tests.parity.layers import initial, layer, read

FEATURES, WIDTH, HEADS = 3, 6, 2


def affine(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  return x @ p['kernel'] + p['bias']


def layer_norm(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  x = x - x.mean()
  return x / np.sqrt((x**2).mean() + 1e-6) * p['scale'] + p['bias']


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def hopfield(
  p: dict[str, Any],
  inputs: np.ndarray,
  reset: np.ndarray,
  *,
  slots: int,
  updates: int,
  beta: float,
) -> np.ndarray:
  """One row, `(T, D)`."""
  y, k = np.zeros((len(inputs), WIDTH)), WIDTH // HEADS
  stored: list[np.ndarray] = []
  for t, i in enumerate(inputs):
    stored = [] if reset[t] else stored
    stored.append(affine(p['stored'], layer_norm(p['stored_norm'], i)))
    stored = stored[-slots - 1 :]
    state = affine(p['state'], layer_norm(p['state_norm'], i))
    for head in range(HEADS):
      part = slice(head * k, (head + 1) * k)
      x_KM = np.stack([pattern[part] for pattern in stored], axis=1)
      for _ in range(updates):
        state[part] = x_KM @ softmax(beta * x_KM.T @ state[part])
    y[t] = affine(p['value'], state)
  return y


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('slots', 'updates', 'beta'),
  [(3, 1, 0.0), (0, 2, 1.0), (4, 3, 2.0), (20, 2, 0.5)],
)
def test_layer_equals_the_papers_updates(
  slots: int, updates: int, beta: float
) -> None:
  model = HopfieldMemory(WIDTH, WIDTH // HEADS, slots, updates, beta)
  under_test = layer(model, FEATURES, scale=0.8)
  settings: dict[str, Any] = {
    'slots': slots,
    'updates': updates,
    'beta': beta or (WIDTH // HEADS) ** -0.5,
  }
  expected = [
    hopfield(under_test.params64(), *row, **settings)
    for row in under_test.rows64()
  ]
  y = under_test.read([7, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=2e-5)


def retrieved(
  patterns: np.ndarray, probes: np.ndarray, beta: float, updates: int
) -> np.ndarray:
  """The outputs at the probes of a layer that stored `patterns`.

  An input is a pattern to store beside a state to start from: W_k reads the
  first half, W_q the other, so a probe stores nothing but zeros.
  """
  stored, width = patterns.shape
  x = np.zeros((1, stored + len(probes), 2 * width), np.float32)
  x[0, :stored, :width], x[0, stored:, width:] = patterns, probes
  model = HopfieldMemory(width, width, x.shape[1], updates, beta)
  carry = model.initial_carry(1)
  reset_BT = jnp.zeros(x.shape[:2], bool)
  params = initial(model, carry, x, reset_BT)
  eye, nothing = np.eye(width, dtype=np.float32), np.zeros((width, width))
  params['stored']['kernel'] = jnp.asarray(
    np.vstack([eye, nothing]), jnp.float32
  )
  params['state']['kernel'] = jnp.asarray(
    np.vstack([nothing, eye]), jnp.float32
  )
  params['value']['kernel'] = jnp.asarray(eye)
  _, y = read(model, params, carry, x, reset_BT)
  return np.asarray(y)[0, stored:]


def separated(rng: np.random.Generator) -> np.ndarray:
  """Ten patterns of 32 positive and 32 negative signs, far apart."""
  return np.stack(
    [rng.permutation(np.repeat([-1.0, 1.0], 32)) for _ in range(10)]
  )


def test_a_noisy_pattern_retrieves_the_stored_one() -> None:
  rng = np.random.default_rng(0)
  patterns = separated(rng)
  flip = rng.permuted(np.tile(np.arange(64) < 12, (10, 1)), axis=1)
  probes = np.where(flip, -patterns, patterns)
  y = retrieved(patterns, probes, beta=1.0, updates=1)
  np.testing.assert_allclose(y, np.sqrt(2) * patterns, atol=1e-3)


def test_separated_patterns_are_fixed_points_and_a_small_beta_averages() -> (
  None
):
  patterns = separated(np.random.default_rng(1))
  for updates in (1, 4):
    y = retrieved(patterns, patterns, beta=1.0, updates=updates)
    np.testing.assert_allclose(y, np.sqrt(2) * patterns, atol=1e-3)
  # The probes that have come so far count as patterns of zeros.
  y = retrieved(patterns, patterns[:1], beta=1e-6, updates=4)
  np.testing.assert_allclose(
    y[0], np.sqrt(2) * patterns.sum(axis=0) / 11, atol=1e-3
  )


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('head_width', 0),
    ('slots', -1),
    ('updates', 0),
    ('beta', -1.0),
    ('beta', np.nan),
  ],
)
def test_settings_are_checked(field: str, value: float) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2, 'slots': 2}
  with pytest.raises(ConfigError, match=f'^{field}: '):
    HopfieldMemory(**settings | {field: value})
