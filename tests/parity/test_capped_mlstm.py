"""The mLSTM of xLSTM 7B against its equations in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.capped_mlstm import CappedMLSTM
from tests.parity.equations import affine, sigmoid
from tests.parity.layers import layer

WIDTH, KEYS, VALUES, HEADS, CAP = 6, 3, 4, 2, 1.5


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  edges = HEADS * KEYS, 2 * HEADS * KEYS, HEADS * (2 * KEYS + VALUES)
  q, k, v, o = np.split(x @ p['qkvo']['kernel'], edges, axis=1)
  gates = CAP * np.tanh(affine(p['gates'], x) / CAP)
  i, f = np.split(gates, 2, axis=1)
  w, n = np.zeros((HEADS, VALUES, KEYS)), np.zeros((HEADS, KEYS))
  y = np.zeros((len(x), HEADS, VALUES))
  for t in range(len(x)):
    w, n = (0 * w, 0 * n) if reset[t] else (w, n)
    for h in range(HEADS):
      of_keys, of_values = (
        slice(h * size, (h + 1) * size) for size in (KEYS, VALUES)
      )
      key, query = k[t, of_keys] / np.sqrt(KEYS), q[t, of_keys]
      forget, write = sigmoid(f[t, h]), np.exp(i[t, h])
      # The paper's memory has values first.
      w[h] = forget * w[h] + write * np.outer(v[t, of_values], key)
      n[h] = forget * n[h] + write * key
      y[t, h] = w[h] @ query / max(abs(n[h] @ query), 1)
  y -= y.mean(-1, keepdims=True)
  y /= np.sqrt((y**2).mean(-1, keepdims=True) + 1e-2)
  y = y.reshape(len(x), -1) * p['gain'] * sigmoid(o)
  return y @ p['down']['kernel']


@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int]) -> None:
  model = CappedMLSTM(WIDTH, VALUES, KEYS, CAP, epsilon=1e-2, chunk=4)
  under_test = layer(model, WIDTH, scale=1.0)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-4, atol=5e-4)


def test_it_starts_with_open_forget_gates_and_shut_input_gates() -> None:
  model = CappedMLSTM(8, 4)
  params = layer(model, 8).fresh_params()
  np.testing.assert_allclose(params['gates']['bias'], [-10, -10, 3, 6])
  assert not params['gates']['kernel'].any()
  assert params['qkvo']['kernel'].shape == (8, 2 * (2 + 2 + 4 + 4))


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('head_width', 0, 'must be at least 1'),
    ('key_width', -1, 'must be at least 0'),
    ('gate_cap', 0.0, 'must be above 0'),
    ('epsilon', 0.0, 'must be above 0'),
    ('chunk', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(field: str, value: float, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': VALUES}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    CappedMLSTM(**settings | {field: value})
