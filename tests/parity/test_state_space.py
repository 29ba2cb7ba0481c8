"""LRU, S5 and S4D against the papers' equations in complex128."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.state_space.discretisation import zero_order_hold
from memjax.models.state_space.lru import LRU
from memjax.models.state_space.s4d import S4D
from memjax.models.state_space.s5 import S5, legs_eigenvectors
from tests.parity.equations import affine, gelu, sigmoid
from tests.parity.layers import layer

WIDTH, UNITS = 6, 4


def glu(p: dict[str, Any], z: np.ndarray) -> np.ndarray:
  value, gate = np.split(affine(p, gelu(z)), 2, axis=-1)
  return value * sigmoid(gate)


def lru(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  factor = np.exp(-np.exp(p['nu']) + 1j * np.exp(p['phi']))
  real, imaginary = np.split(p['input']['kernel'], 2, axis=1)
  b = real + 1j * imaginary
  pairs = p['readout']['kernel'].reshape(UNITS, 2, WIDTH)
  c = pairs[:, 0] - 1j * pairs[:, 1]
  h, outputs = np.zeros(UNITS, complex), []
  for t in range(len(x)):
    h = 0 * h if reset[t] else h
    h = factor * h + np.exp(p['g']) * (x[t] @ b)
    outputs.append((h @ c).real + p['skip'] * x[t])
  return glu(p['output'], np.stack(outputs))


def s5(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  pairs = UNITS // 2
  eigenvalue = -np.exp(p['log_rate']) + 1j * p['speed']
  factor = np.exp(eigenvalue * np.exp(p['log_step']))
  real, imaginary = np.split(p['input'], 2, axis=1)
  b = (real + 1j * imaginary) * (factor - 1) / eigenvalue
  c = p['readout'][:pairs] + 1j * p['readout'][pairs:]
  h, outputs = np.zeros(pairs, complex), []
  for t in range(len(x)):
    h = 0 * h if reset[t] else h
    h = factor * h + x[t] @ b
    outputs.append(2 * (h @ c).real + p['skip'] * x[t])
  z = gelu(np.stack(outputs))
  return z * sigmoid(affine(p['output'], z))


def s4d(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`: a loop over channels too."""
  pairs = UNITS // 2
  rate, speed = (
    p[name].reshape(WIDTH, pairs) for name in ('log_rate', 'speed')
  )
  outputs = np.zeros_like(x)
  for d in range(WIDTH):
    eigenvalue = -np.exp(rate[d]) + 1j * speed[d]
    factor = np.exp(eigenvalue * np.exp(p['log_step'][d]))
    c = p['readout'][d, :, 0] + 1j * p['readout'][d, :, 1]
    h = np.zeros(pairs, complex)
    for t in range(len(x)):
      h = 0 * h if reset[t] else h
      h = factor * h + (factor - 1) / eigenvalue * x[t, d]
      outputs[t, d] = 2 * (c @ h).real + p['skip'][d] * x[t, d]
  return glu(p['output'], outputs)


CASES = {
  'LRU': (LRU(WIDTH, UNITS), lru),
  'S5': (S5(WIDTH, UNITS), s5),
  'S4D': (S4D(WIDTH, UNITS), s4d),
}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('name', CASES)
def test_it_equals_the_papers_equations(name: str, sizes: list[int]) -> None:
  model, equations = CASES[name]
  under_test = layer(model, WIDTH, scale=0.7)
  expected = [
    equations(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_the_step_of_slow_units_keeps_its_digits() -> None:
  rate, speed, dt = 1e-4, 1e-3, 1e-2
  eigenvalue = -rate + 1j * speed
  expected = np.expm1(eigenvalue * dt) / eigenvalue
  found = zero_order_hold(*map(jnp.float32, (rate, speed, dt)))[2]
  np.testing.assert_allclose(
    found, [expected.real, expected.imag], rtol=1e-5, atol=1e-9
  )


def test_lru_starts_on_its_ring_with_the_power_of_its_input() -> None:
  model = LRU(400, r_min=0.5, r_max=0.9, max_angle=1.0)
  p = jax.tree.map(np.float64, layer(model, 400).fresh_params())
  modulus = np.exp(-np.exp(p['nu']))
  assert 0.5 <= modulus.min() < 0.53
  assert 0.89 < modulus.max() <= 0.9
  assert np.exp(p['phi']).max() <= 1
  np.testing.assert_allclose(np.exp(2 * p['g']), 1 - modulus**2, rtol=1e-4)
  variance = np.var(p['input']['kernel'], axis=None)
  np.testing.assert_allclose(variance, 1 / 800, rtol=0.02)
  np.testing.assert_allclose(np.var(p['readout']['kernel']), 1 / 400, rtol=0.02)


def test_s5_starts_with_the_normal_part_of_legs() -> None:
  size = 8
  n = np.arange(size)
  hippo = -np.sqrt(np.outer(2 * n + 1, 2 * n + 1)) * (n[:, None] > n)
  hippo -= np.diag(n + 1.0)
  normal = hippo + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
  values, vectors = legs_eigenvectors(size // 2, 1)
  both = np.concatenate([vectors, vectors.conj()], 1)
  rebuilt = both * np.concatenate([values, values.conj()]) @ both.conj().T
  np.testing.assert_allclose(rebuilt, normal, atol=1e-10)
  tiled, block_vectors = legs_eigenvectors(size, 2)
  np.testing.assert_array_equal(tiled, np.tile(values, 2))
  np.testing.assert_array_equal(block_vectors[size:, : size // 2], 0)


@pytest.mark.parametrize(
  ('kind', 'fields', 'message'),
  [
    (LRU, {'width': 0}, 'width: 0: must be at least 1'),
    (LRU, {'r_min': 0.9, 'r_max': 0.5}, 'r_min: 0.9: must be at least 0 and'),
    (LRU, {'r_max': 1.0}, 'r_max: 1.0: must be below 1'),
    (LRU, {'max_angle': 0.0}, 'max_angle: 0.0: must be above 0'),
    (LRU, {'state_width': -1}, 'state_width: -1: must be at least 0'),
    (S5, {'state_width': 3}, 'state_width: 3: must be a multiple of twice'),
    (S5, {'blocks': 0}, 'blocks: 0: must be at least 1'),
    (S4D, {'state_width': 3}, 'state_width: 3: must be even'),
  ],
)
def test_settings_are_checked(
  kind: Any, fields: dict[str, Any], message: str
) -> None:
  with pytest.raises(ConfigError, match=f'^{message}'):
    kind(**{'width': WIDTH} | fields)
