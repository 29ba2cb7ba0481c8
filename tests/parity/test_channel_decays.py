"""Memories that decay by channel against their papers' equations in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.gla import GLA
from memjax.models.linear.hgrn2 import HGRN2
from memjax.models.linear.kimi_delta import KimiDelta
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

WIDTH, HEADS, HEAD = 8, 2, 4


def heads(a: np.ndarray) -> np.ndarray:
  return a.reshape(HEADS, -1)


def kimi(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  qkv = silu(convolved(p['convolution'], affine(p['qkv'], x), reset))
  w, y = np.zeros((HEADS, HEAD, HEAD)), np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w = 0 * w if reset[t] else w
    q, k, v = (heads(a) for a in np.split(qkv[t], 3))
    beta = sigmoid(affine(p['beta'], x[t]))
    low = affine(p['decay_input'], affine(p['decay_low'], x[t]))
    dt = heads(softplus(low + p['decay_bias']))
    for h in range(HEADS):
      key = unit(k[h])
      w[h] = np.diag(np.exp(-np.exp(p['log_rate'][h]) * dt[h])) @ w[h]
      w[h] += beta[h] * np.outer(key, v[h] - w[h].T @ key)
      y[t, h] = rms(p['norm'], w[h].T @ unit(q[h]) / np.sqrt(HEAD))
  gate = sigmoid(affine(p['gate'], affine(p['gate_low'], x)))
  return affine(p['output'], y.reshape(len(x), -1) * gate)


def gla(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  qkv, keys = affine(p['qkv'], x), HEAD // 2
  decay = sigmoid(affine(p['decay_input'], affine(p['decay_low'], x)))
  decay **= 1 / 16
  w, y = np.zeros((HEADS, keys, HEAD)), np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w = 0 * w if reset[t] else w
    q, k, v = (
      heads(a) for a in np.split(qkv[t], [HEADS * keys, 2 * HEADS * keys])
    )
    for h in range(HEADS):
      w[h] = np.diag(heads(decay[t])[h]) @ w[h] + np.outer(k[h], v[h])
      y[t, h] = rms(p['norm'], w[h].T @ q[h] / np.sqrt(keys))
  return affine(p['output'], y.reshape(len(x), -1) * silu(affine(p['gate'], x)))


def hgrn2(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, floor: float = 0.75
) -> np.ndarray:
  """One row, `(T, D)`, of layer 3 of 4."""
  columns = affine(p['input'], x)
  w, y = np.zeros((HEADS, HEAD, HEAD)), np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w = 0 * w if reset[t] else w
    q, f, v = (heads(a) for a in np.split(columns[t], 3))
    f = floor + (1 - floor) * sigmoid(f)
    for h in range(HEADS):
      w[h] = np.diag(f[h]) @ w[h] + np.outer(1 - f[h], v[h])
      y[t, h] = w[h].T @ silu(q[h])
  return affine(p['output'], rms(p['norm'], y.reshape(len(x), -1)))


def lowest(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  return hgrn2(p, x, reset, floor=0.0)


CASES = {
  'KDA': (KimiDelta(WIDTH, HEAD), kimi),
  'GLA': (GLA(WIDTH, HEAD), gla),
  'HGRN2': (HGRN2(WIDTH, HEAD, index=3, depth=4), hgrn2),
  'HGRN2, lowest layer': (HGRN2(WIDTH, HEAD), lowest),
}


@pytest.mark.parametrize('chunk', [4, 16])
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('name', CASES)
def test_it_equals_the_papers_equations(
  name: str, sizes: list[int], chunk: int
) -> None:
  model, equations = CASES[name]
  under_test = layer(model.clone(chunk=chunk), WIDTH, scale=0.4)
  expected = [
    equations(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  ('kind', 'field', 'value', 'rule'),
  [
    (GLA, 'head_width', 3, 'must be even'),
    (GLA, 'rank', 0, 'must be at least 1'),
    (GLA, 'chunk', 17, 'must be from 1 to 16'),
    (HGRN2, 'chunk', 0, 'must be from 1 to 16'),
    (HGRN2, 'head_width', 0, 'must be at least 1'),
  ],
)
def test_settings_are_checked(
  kind: Any, field: str, value: int, rule: str
) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: {value}: {rule}'):
    kind(**settings | {field: value})
