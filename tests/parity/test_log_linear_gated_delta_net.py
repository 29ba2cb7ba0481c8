"""The log-linear gated delta rule in float64: what each step wrote, kept."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.log_linear_gated_delta_net import (
  LogLinearGatedDeltaNet,
)
from tests.parity.equations import (
  affine,
  convolved,
  rms,
  sigmoid,
  silu,
  softplus,
  unit,
)
from tests.parity.layers import layer

WIDTH, HEADS, KEY, VALUE = 6, 2, 3, 6


def row(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, levels: int
) -> np.ndarray:
  """One row, `(T, D)`."""
  qkv = silu(convolved(p['convolution'], affine(p['qkv'], x), reset))
  q, k, v = np.split(qkv, [HEADS * KEY, 2 * HEADS * KEY], axis=1)
  q_THK, k_THK = (unit(a.reshape(-1, HEADS, KEY)) for a in (q, k))
  v_THV = v.reshape(-1, HEADS, VALUE)
  beta = sigmoid(affine(p['beta'], x))
  dt = softplus(affine(p['decay_input'], x) + p['decay']['bias'])
  decay = np.exp(-np.exp(p['decay']['log_rate']) * dt)
  weights = softplus(p['level_scale'] * affine(p['level_input'], x))
  weights = weights.reshape(len(x), HEADS, levels + 1)
  y, start = np.zeros((len(x), HEADS, VALUE)), 0
  for h in range(HEADS):
    written: list[np.ndarray] = []  # what each step of the run wrote, as it is
    for t in range(len(x)):
      if reset[t]:
        start, written = t, []
      key = k_THK[t, h]
      change = np.eye(KEY) - beta[t, h] * np.outer(key, key)
      written = [decay[t, h] * change @ w for w in written]
      written.append(beta[t, h] * np.outer(key, v_THV[t, h]))
      for s, w in enumerate(written):
        level = min(((t - start) ^ s).bit_length(), levels)
        y[t, h] += weights[t, h, level] * w.T @ q_THK[t, h] / np.sqrt(KEY)
  joined = rms(p['norm'], y).reshape(len(x), -1)
  return affine(p['output'], joined * silu(affine(p['gate'], x)))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('levels', 'sizes', 'chunk'), [(2, [13], 32), (6, [7, 1, 5], 3)]
)
def test_it_equals_the_sum_over_all_steps(
  levels: int, sizes: list[int], chunk: int
) -> None:
  model = LogLinearGatedDeltaNet(WIDTH, KEY, levels=levels, chunk=chunk)
  under_test = layer(model, WIDTH, scale=0.8)
  expected = [
    row(under_test.params64(), *a_row, levels) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'levels': 0}, 'levels: 0: must be from 1 to 30'),
    ({'writes': 2}, 'writes: 2: must be 1'),
  ],
)
def test_settings_are_checked(fields: dict[str, Any], message: str) -> None:
  with pytest.raises(ConfigError, match=f'^{message}'):
    LogLinearGatedDeltaNet(WIDTH, 2, **fields)
