"""RetNet against the paper's parallel form in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.retnet import RetNet
from tests.parity.equations import affine, silu
from tests.parity.layers import layer

WIDTH, HEADS, KEY = 8, 2, 4


def turned(a: np.ndarray, place: int) -> np.ndarray:
  """The pairs (i, i + K / 2) as complex numbers, times exp(i place theta)."""
  half = KEY // 2
  theta = 10_000.0 ** (-np.arange(half) / half)
  z = (a[..., :half] + 1j * a[..., half:]) * np.exp(1j * place * theta)
  return np.concatenate([z.real, z.imag], -1)


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`: every pair of steps of a run."""
  qkv = affine(p['qkv'], x)
  run = np.cumsum(reset)
  y = np.zeros((len(x), HEADS, 2 * KEY))
  for t in range(len(x)):
    for s in range(t + 1):
      if run[s] != run[t]:
        continue
      for h in range(HEADS):
        q = qkv[t, h * KEY : (h + 1) * KEY]
        k = qkv[s, (HEADS + h) * KEY : (HEADS + h + 1) * KEY]
        v = qkv[s, 2 * HEADS * KEY :].reshape(HEADS, -1)[h]
        decay = (1 - 2.0 ** (-5 - h)) ** (t - s)
        # Places from an origin that no segment knows.
        score = turned(q, t + 100) @ turned(k, s + 100) / np.sqrt(KEY)
        y[t, h] += decay * score * v
  y -= y.mean(-1, keepdims=True)
  y /= np.sqrt((y**2).mean(-1, keepdims=True) + 1e-5)
  return affine(p['output'], y.reshape(len(x), -1) * silu(affine(p['gate'], x)))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 32])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5], [1] * 13])
def test_it_equals_the_papers_equations(sizes: list[int], chunk: int) -> None:
  under_test = layer(RetNet(WIDTH, KEY, chunk), WIDTH, scale=0.8)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('head_width', 3, 'must be even'),
    ('head_width', 0, 'must be at least 1'),
    ('chunk', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    RetNet(**settings | {field: value})
