"""Mamba-2 against the paper's equations in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.state_space.mamba2 import Mamba2
from tests.parity.equations import affine, convolved, rms, silu, softplus
from tests.parity.layers import layer

WIDTH, HEAD, KEY = 6, 4, 5
HEADS = 3  # of 12 inner units


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  inner = HEADS * HEAD
  columns = affine(p['input'], x)
  z, u, dt = np.split(columns, [inner, 2 * inner + 2 * KEY], axis=1)
  u = silu(convolved(p['convolution'], u, reset))
  dt = softplus(dt + p['decay']['bias'])
  state = np.zeros((HEADS, HEAD, KEY))  # the paper's way round
  y = np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    state = np.zeros_like(state) if reset[t] else state
    value = u[t, :inner].reshape(HEADS, HEAD)
    b, c = u[t, inner:].reshape(2, KEY)
    for h in range(HEADS):
      a = np.exp(-np.exp(p['decay']['log_rate'][h]) * dt[t, h])
      state[h] = a * state[h] + np.outer(dt[t, h] * value[h], b)
      y[t, h] = state[h] @ c + p['skip'][h] * value[h]
  return affine(p['output'], rms(p['norm'], y.reshape(-1, inner) * silu(z)))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 32])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int], chunk: int) -> None:
  model = Mamba2(WIDTH, HEAD, KEY, chunk=chunk)
  under_test = layer(model, WIDTH, scale=0.8)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('head_width', 0, 'must be at least 1'),
    ('state_width', 0, 'must be at least 1'),
    ('expand', 0, 'must be at least 1'),
    ('taps', 1, 'must be at least 2'),
    ('chunk', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    Mamba2(**settings | {field: value})
