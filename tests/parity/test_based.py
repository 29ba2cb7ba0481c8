"""Based against its paper's equations in float64."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.based import Based
from memjax.ops.taylor import features, number_of_features
from tests.parity.equations import affine
from tests.parity.layers import layer

WIDTH, HEADS, VALUE, KEY = 6, 2, 3, 4


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`: sums over the steps of the run, without features."""
  cut = [HEADS * KEY, 2 * HEADS * KEY]
  q, k, v = (
    a.reshape(len(x), HEADS, -1) for a in np.split(affine(p['qkv'], x), cut, 1)
  )
  y, start = np.zeros((len(x), HEADS, VALUE)), 0
  for t in range(len(x)):
    start = t if reset[t] else start
    for h in range(HEADS):
      s = k[start : t + 1, h] @ q[t, h] / np.sqrt(KEY)
      kappa = 1 + s + s**2 / 2
      y[t, h] = kappa @ v[start : t + 1, h] / kappa.sum()
  return affine(p['output'], y.reshape(len(x), -1))


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize('chunk', [4, 64])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int], chunk: int) -> None:
  under_test = layer(Based(WIDTH, VALUE, KEY, chunk), WIDTH)
  expected = [row(under_test.params64(), *r) for r in under_test.rows64()]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_features_multiply_to_the_kernel() -> None:
  rng = np.random.default_rng(0)
  q, k = jnp.asarray(rng.normal(size=(2, 5, KEY)), jnp.float32)
  assert features(q).shape == (5, number_of_features(KEY)) == (5, 15)
  s = (q * k).sum(-1)
  product = (features(q) * features(k)).sum(-1)
  np.testing.assert_allclose(product, 1 + s + s**2 / 2, rtol=1e-5)


@pytest.mark.parametrize('field', ['head_width', 'feature_width', 'chunk'])
def test_settings_are_checked(field: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: 0: must be at least 1'):
    Based(**settings | {field: 0})
