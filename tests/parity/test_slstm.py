"""sLSTM against the paper's equations, without the maximum, in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.slstm import SLSTM
from tests.parity.equations import convolved, sigmoid, silu
from tests.parity.layers import layer

WIDTH, HEADS = 6, 2
UNITS = WIDTH // HEADS


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`: head by head, gate by gate."""
  u = silu(convolved(p['convolution'], x, reset))
  bias = p['bias'].reshape(HEADS, 4, UNITS)
  y = np.zeros_like(x)
  for head in range(HEADS):
    part = slice(head * UNITS, (head + 1) * UNITS)
    w = np.split(p['input_kernel'][head], 4, axis=1)
    r = np.split(p['recurrent_kernel'][head], 4, axis=1)
    h, c, n = np.zeros(UNITS), np.zeros(UNITS), np.zeros(UNITS)
    for t in range(len(x)):
      h, c, n = (0 * h, 0 * c, 0 * n) if reset[t] else (h, c, n)
      inputs = u[t, part], u[t, part], x[t, part], x[t, part]
      i, f, z, o = (
        inputs[g] @ w[g] + h @ r[g] + bias[head, g] for g in range(4)
      )
      c = sigmoid(f) * c + np.exp(i) * np.tanh(z)
      n = sigmoid(f) * n + np.exp(i)
      h = sigmoid(o) * c / n
      normed = (h - h.mean()) / np.sqrt(h.var() + 1e-5)
      y[t, part] = normed * p['gain'][part]
  return y


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int]) -> None:
  under_test = layer(SLSTM(WIDTH, HEADS), WIDTH, scale=1.0)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-4, atol=5e-4)


def test_forget_gates_start_open_and_close_from_unit_to_unit() -> None:
  for index, power in ((0, 0.3), (2, 1.6)):
    model = SLSTM(WIDTH, HEADS, index=index, depth=3)
    bias = layer(model, WIDTH).fresh_params()['bias'].reshape(HEADS, 4, UNITS)
    expected = 5 - 12 * np.array([0, 0.5, 1]) ** power
    for head in range(HEADS):
      np.testing.assert_allclose(bias[head, 1], expected, rtol=1e-5)
      np.testing.assert_array_equal(bias[head, [0, 2, 3]], 0)


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('width', 0, 'must be at least 1'),
    ('heads', 4, 'must divide width, 6'),
    ('heads', 0, 'must be at least 1'),
    ('taps', 1, 'must be at least 2'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'heads': HEADS}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    SLSTM(**settings | {field: value})
