"""DeltaNet and Gated DeltaNet against the papers' equations in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.delta_net import DeltaNet
from memjax.models.linear.gated_delta_net import GatedDeltaNet
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

WIDTH, HEADS, KEY = 6, 2, 3
KINDS = {'plain': DeltaNet, 'gated': GatedDeltaNet}


def row(
  p: dict[str, Any],
  x: np.ndarray,
  reset: np.ndarray,
  *,
  value: int,
  negative: bool,
  writes: int,
) -> np.ndarray:
  """One row, `(T, D)`."""
  qkv = silu(convolved(p['convolution'], affine(p['qkv'], x), reset))
  w = np.zeros((HEADS, value, KEY))  # the papers' way round
  y = np.zeros((len(x), HEADS, value))
  for t in range(len(x)):
    w = np.zeros_like(w) if reset[t] else w
    q = qkv[t, : HEADS * KEY].reshape(HEADS, KEY)
    k, v = np.split(qkv[t, HEADS * KEY :], [writes * HEADS * KEY])
    k, v = k.reshape(writes, HEADS, KEY), v.reshape(writes, HEADS, value)
    beta = sigmoid(affine(p['beta'], x[t])) * (2 if negative else 1)
    beta = beta.reshape(writes, HEADS)
    decay = np.ones(HEADS)
    if 'decay' in p:
      dt = softplus(affine(p['decay_input'], x[t]) + p['decay']['bias'])
      decay = np.exp(-np.exp(p['decay']['log_rate']) * dt)
    for h in range(HEADS):
      w[h] *= decay[h]
      for j in range(writes):
        key = unit(k[j, h])
        erase = np.eye(KEY) - beta[j, h] * np.outer(key, key)
        w[h] = w[h] @ erase + beta[j, h] * np.outer(v[j, h], key)
      y[t, h] = rms(p['norm'], w[h] @ unit(q[h]) / np.sqrt(KEY))
  joined = y.reshape(len(x), -1)
  if 'gate' in p:
    joined = joined * silu(affine(p['gate'], x))
  return affine(p['output'], joined)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('chunk', [4, 32])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize(('negative', 'writes'), [(False, 1), (True, 3)])
@pytest.mark.parametrize('kind', KINDS)
def test_it_equals_the_papers_equations(
  kind: str, negative: bool, writes: int, sizes: list[int], chunk: int
) -> None:
  settings: dict[str, Any] = {'negative': negative, 'writes': writes}
  model = KINDS[kind](WIDTH, KEY, chunk=chunk, **settings)
  under_test = layer(model, WIDTH, scale=0.8)
  value = KEY * model.value_ratio
  expected = [
    row(under_test.params64(), *a_row, value=value, **settings)
    for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_the_gates_are_those_of_the_equations() -> None:
  under_test = layer(GatedDeltaNet(WIDTH, KEY, negative=True), WIDTH)
  p, (x, _) = under_test.params64(), under_test.rows64()[0]
  shown = under_test.show([13])[1]
  dt = softplus(affine(p['decay_input'], x) + p['decay']['bias'])
  decay = np.exp(-np.exp(p['decay']['log_rate']) * dt)
  np.testing.assert_allclose(shown['forget_gate'][0], decay, rtol=1e-5)
  share = sigmoid(affine(p['beta'], x))
  np.testing.assert_allclose(shown['write_gate'][0], share, rtol=1e-5)


def test_decays_start_between_a_step_and_some_thousands() -> None:
  p = layer(GatedDeltaNet(64, 1), 64).fresh_params()['decay']
  rate = np.exp(p['log_rate'])
  assert 1 <= rate.min() < 3 < 14 < rate.max() <= 16
  dt = softplus(np.asarray(p['bias'], np.float64))
  assert 0.0009 < dt.min() < 0.003 < 0.03 < dt.max() < 0.11


@pytest.mark.parametrize(
  ('field', 'value', 'rule'),
  [
    ('head_width', 0, 'must be at least 1'),
    ('value_ratio', 0, 'must be at least 1'),
    ('taps', 1, 'must be at least 2'),
    ('writes', 0, 'must be at least 1'),
    ('chunk', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(field: str, value: int, rule: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    GatedDeltaNet(**settings | {field: value})
