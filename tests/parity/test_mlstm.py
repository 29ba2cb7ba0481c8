"""mLSTM against the paper's equations, without the maximum, in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.mlstm import MLSTM
from tests.parity.equations import affine, convolved, sigmoid, silu
from tests.parity.layers import layer

WIDTH, HEAD, HEADS, BLOCK = 6, 4, 3, 2
UNITS = HEADS * HEAD


def blocks(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
  whole = np.zeros((UNITS, UNITS))
  for i, small in enumerate(kernel):
    part = slice(i * BLOCK, (i + 1) * BLOCK)
    whole[part, part] = small
  return x @ whole


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  u, z = np.split(affine(p['up'], x), 2, axis=1)
  c = silu(convolved(p['convolution'], u, reset))
  q, k, v = blocks(p['q'], c), blocks(p['k'], c), blocks(p['v'], u)
  i, f = np.split(affine(p['gates'], np.concatenate([q, k, v], 1)), 2, axis=1)
  w, n = np.zeros((HEADS, HEAD, HEAD)), np.zeros((HEADS, HEAD))
  y = np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w, n = (0 * w, 0 * n) if reset[t] else (w, n)
    for h in range(HEADS):
      part = slice(h * HEAD, (h + 1) * HEAD)
      key, query = k[t, part] / np.sqrt(HEAD), q[t, part]
      forget, write = sigmoid(f[t, h]), np.exp(i[t, h])
      # The paper's memory has values first.
      w[h] = forget * w[h] + write * np.outer(v[t, part], key)
      n[h] = forget * n[h] + write * key
      y[t, h] = w[h] @ query / max(abs(n[h] @ query), 1)
  y -= y.mean(-1, keepdims=True)
  y /= np.sqrt((y**2).mean(-1, keepdims=True) + 1e-5)
  y = y.reshape(len(x), -1) * p['gain'] + p['skip'] * c
  return affine(p['down'], y * silu(z))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 32])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int], chunk: int) -> None:
  model = MLSTM(WIDTH, HEAD, block_width=BLOCK, chunk=chunk)
  under_test = layer(model, WIDTH, scale=1.0)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-4, atol=5e-4)


def test_it_starts_with_open_forget_gates() -> None:
  bias = layer(MLSTM(64, 8), 64).fresh_params()['gates']['bias']
  np.testing.assert_allclose(bias[16:], np.linspace(3, 6, 16), rtol=1e-6)
  assert 0.04 < np.std(bias[:16]) < 0.2


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('head_width', 0, 'must be at least 1'),
    ('expand', 0, 'must be at least 1'),
    ('taps', 1, 'must be at least 2'),
    ('block_width', 3, 'must divide head_width, 4'),
    ('chunk', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': HEAD}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    MLSTM(**settings | {field: value})
