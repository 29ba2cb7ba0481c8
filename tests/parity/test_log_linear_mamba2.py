"""Log-linear Mamba-2 in float64: a sum over all steps of the run."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.state_space.log_linear_mamba2 import LogLinearMamba2
from tests.parity.equations import affine, convolved, rms, silu, softplus
from tests.parity.layers import layer

WIDTH, HEAD, KEY = 6, 4, 5
HEADS = 3  # of 12 inner units


def row(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, levels: int
) -> np.ndarray:
  """One row, `(T, D)`."""
  inner = HEADS * HEAD
  z, u, dt = np.split(affine(p['input'], x), [inner, 2 * inner + 2 * KEY], 1)
  u = silu(convolved(p['convolution'], u, reset))
  value, b, c = np.split(u, [inner, inner + KEY], axis=1)
  value = value.reshape(-1, HEADS, HEAD)
  dt = softplus(dt + p['decay']['bias'])
  log_a = -np.exp(p['decay']['log_rate']) * dt
  weights = softplus(p['level_scale'] * affine(p['level_input'], x))
  weights = weights.reshape(len(x), HEADS, levels + 1)
  y, start = p['skip'][:, None] * value, 0
  for t in range(len(x)):
    start = t if reset[t] else start
    for s in range(start, t + 1):
      level = min(((t - start) ^ (s - start)).bit_length(), levels)
      share = weights[t, :, level] * np.exp(log_a[s + 1 : t + 1].sum(0))
      y[t] += (share * (c[t] @ b[s]) * dt[s])[:, None] * value[s]
  return affine(p['output'], rms(p['norm'], y.reshape(-1, inner) * silu(z)))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('levels', 'sizes', 'chunk'), [(2, [13], 32), (6, [7, 1, 5], 3)]
)
def test_it_equals_the_sum_over_all_steps(
  levels: int, sizes: list[int], chunk: int
) -> None:
  model = LogLinearMamba2(WIDTH, HEAD, KEY, levels=levels, chunk=chunk)
  under_test = layer(model, WIDTH)
  expected = [
    row(under_test.params64(), *a_row, levels) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('levels', [0, 31])
def test_settings_are_checked(levels: int) -> None:
  message = rf'^levels: {levels}: must be from 1 to 30'
  with pytest.raises(ConfigError, match=message):
    LogLinearMamba2(WIDTH, 2, levels=levels)
