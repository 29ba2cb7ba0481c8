"""Mamba against the paper's equations in float64, channel by channel."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.state_space.mamba import Mamba
from tests.parity.equations import affine, convolved, silu, softplus
from tests.parity.layers import layer

WIDTH, NUMBERS = 6, 4


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  u, z = np.split(affine(p['input'], x), 2, axis=1)
  u = silu(convolved(p['convolution'], u, reset))
  d, b, c = np.split(affine(p['selection'], u), [1, 1 + NUMBERS], axis=1)
  dt = softplus(d @ p['step_kernel'] + p['step_bias'])
  rate = -np.exp(p['log_rate']).reshape(-1, NUMBERS)
  y = np.zeros_like(u)
  for e in range(u.shape[1]):
    h = np.zeros(NUMBERS)
    for t in range(len(x)):
      h = 0 * h if reset[t] else h
      h = np.exp(dt[t, e] * rate[e]) * h + dt[t, e] * b[t] * u[t, e]
      y[t, e] = c[t] @ h + p['skip'][e] * u[t, e]
  return affine(p['output'], y * silu(z))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int]) -> None:
  under_test = layer(Mamba(WIDTH, NUMBERS), WIDTH, scale=0.8)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_rates_start_at_whole_numbers() -> None:
  p = layer(Mamba(WIDTH, NUMBERS), WIDTH).fresh_params()
  rates = np.exp(p['log_rate']).reshape(2 * WIDTH, NUMBERS)
  np.testing.assert_allclose(rates, [[1, 2, 3, 4]] * 2 * WIDTH, rtol=1e-6)


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('width', 0, 'must be at least 1'),
    ('state_width', 0, 'must be at least 1'),
    ('expand', 0, 'must be at least 1'),
    ('taps', 1, 'must be at least 2'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    Mamba(**settings | {field: value})
