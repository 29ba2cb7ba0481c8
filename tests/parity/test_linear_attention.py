"""Fast weights against the papers' equations in float64, step by step."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.linear_attention import LinearAttention
from memjax.models.linear.schlag_delta import SchlagDelta
from tests.parity.layers import layer

FEATURES, WIDTH, HEADS = 3, 6, 2
HEAD = WIDTH // HEADS


def affine(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  return x @ p['kernel'] + p['bias']


def parts(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  """Queries, keys and values of one step, `(3, H, K)`."""
  return affine(p['qkv'], x).reshape(3, HEADS, HEAD)


def additive(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""

  def phi(a: np.ndarray) -> np.ndarray:
    return np.where(a > 0, a, np.exp(a) - 1) + 1

  y = np.zeros((len(x), HEADS, HEAD))
  w, z = np.zeros((HEADS, HEAD, HEAD)), np.zeros((HEADS, HEAD))
  for t in range(len(x)):
    if reset[t]:
      w, z = np.zeros_like(w), np.zeros_like(z)
    q, k, v = parts(p, x[t])
    for h in range(HEADS):
      w[h] = w[h] + np.outer(phi(k[h]), v[h])
      z[h] = z[h] + phi(k[h])
      y[t, h] = phi(q[h]) @ w[h] / (z[h] @ phi(q[h]))
  return affine(p['output'], y.reshape(len(x), WIDTH))


def projection(a: np.ndarray, nu: int) -> np.ndarray:
  """phi of the delta rule, feature by feature."""
  r = [max(0, number) for number in (*a, *-a)]
  features = [r[i] * r[i - j] for j in range(1, nu + 1) for i in range(len(r))]
  return np.array(features) / max(sum(features), 1e-6)


def delta(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, nu: int
) -> np.ndarray:
  """One row, `(T, D)`."""
  y = np.zeros((len(x), HEADS, HEAD))
  w = np.zeros((HEADS, HEAD, 2 * HEAD * nu))  # the papers' way round
  for t in range(len(x)):
    w = np.zeros_like(w) if reset[t] else w
    beta = 1 / (1 + np.exp(-affine(p['beta'], x[t])))
    q, k, v = parts(p, x[t])
    for h in range(HEADS):
      key = projection(k[h], nu)
      w[h] = w[h] + beta[h] * np.outer(v[h] - w[h] @ key, key)
      y[t, h] = w[h] @ projection(q[h], nu)
  return affine(p['output'], y.reshape(len(x), WIDTH))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 64])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_sums_equal_the_papers_equations(sizes: list[int], chunk: int) -> None:
  under_test = layer(
    LinearAttention(WIDTH, WIDTH // HEADS, chunk), FEATURES, scale=0.8
  )
  expected = [
    additive(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 64])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('nu', [1, 3])
def test_corrections_equal_the_papers_equations(
  nu: int, sizes: list[int], chunk: int
) -> None:
  under_test = layer(
    SchlagDelta(WIDTH, WIDTH // HEADS, nu, chunk), FEATURES, scale=0.8
  )
  expected = [
    delta(under_test.params64(), *row, nu) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('field', ['head_width', 'nu', 'chunk'])
def test_settings_are_checked(field: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: 0: '):
    SchlagDelta(**settings | {field: 0})
