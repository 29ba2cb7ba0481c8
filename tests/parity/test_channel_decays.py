"""Memories that decay by channel against their papers' equations in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.gated_delta_net_2 import GatedDeltaNet2
from memjax.models.linear.gated_slot_attention import GatedSlotAttention
from memjax.models.linear.gla import GLA
from memjax.models.linear.hgrn2 import HGRN2
from memjax.models.linear.kimi_delta import KimiDelta
from tests.parity.equations import (
  affine,
  convolved,
  floors,
  rms,
  sigmoid,
  silu,
  softplus,
  unit,
)
from tests.parity.layers import layer

WIDTH, HEADS, HEAD, SLOTS = 8, 2, 4, 3


def heads(a: np.ndarray) -> np.ndarray:
  return a.reshape(HEADS, -1)


def kimi(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, two_gates: bool = False
) -> np.ndarray:
  """One row, `(T, D)`, of the rule with one gate a head or two of channels."""
  qkv = silu(convolved(p['convolution'], affine(p['qkv'], x), reset))
  w, y = np.zeros((HEADS, HEAD, HEAD)), np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w = 0 * w if reset[t] else w
    q, k, v = (heads(a) for a in np.split(qkv[t], 3))
    erase, write = (
      heads(sigmoid(affine(p[name], x[t])))
      for name in (('erase', 'write') if two_gates else ('beta', 'beta'))
    )
    low = affine(p['decay_input'], affine(p['decay_low'], x[t]))
    dt = heads(softplus(low + p['decay_bias']))
    for h in range(HEADS):
      key = unit(k[h])
      w[h] = np.diag(np.exp(-np.exp(p['log_rate'][h]) * dt[h])) @ w[h]
      w[h] += np.outer(key, write[h] * v[h] - w[h].T @ (erase[h] * key))
      y[t, h] = rms(p['norm'], w[h].T @ unit(q[h]) / np.sqrt(HEAD))
  gate = sigmoid(affine(p['gate'], affine(p['gate_low'], x)))
  return affine(p['output'], y.reshape(len(x), -1) * gate)


def gdn_2(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  return kimi(p, x, reset, two_gates=True)


def gsa(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`, of 3 slots."""
  qkv = silu(affine(p['qkv'], x))
  forget = sigmoid(affine(p['forget'], x)) ** (1 / 8)
  a, y = np.zeros((HEADS, SLOTS, HEAD)), np.zeros((len(x), HEADS, HEAD))
  b = a.copy()
  for t in range(len(x)):
    a, b = (0 * a, 0 * b) if reset[t] else (a, b)
    q, k, v = (heads(c) for c in np.split(qkv[t], 3))
    for h in range(HEADS):
      f = heads(forget[t])[h]
      a[h] = np.diag(f) @ a[h] + np.outer(1 - f, k[h])
      b[h] = np.diag(f) @ b[h] + np.outer(1 - f, v[h])
      p_M = np.exp(a[h] @ q[h])
      y[t, h] = b[h].T @ (p_M / p_M.sum())
  joined = silu(y.reshape(len(x), -1))
  return affine(p['output'], rms(p['norm'], joined))


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
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, floor: Any
) -> np.ndarray:
  """One row, `(T, D)`."""
  columns = affine(p['input'], x)
  w, y = np.zeros((HEADS, HEAD, HEAD)), np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    w = 0 * w if reset[t] else w
    q, f, v = (heads(a) for a in np.split(columns[t], 3))
    f = heads(floor) + (1 - heads(floor)) * sigmoid(f)
    for h in range(HEADS):
      w[h] = np.diag(f[h]) @ w[h] + np.outer(1 - f[h], v[h])
      y[t, h] = w[h].T @ silu(q[h])
  return affine(p['output'], rms(p['norm'], y.reshape(len(x), -1)))


def upper(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  return hgrn2(p, x, reset, floors(p['floors'], WIDTH, 3))


def lowest(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  return hgrn2(p, x, reset, np.zeros(WIDTH))


CASES = {
  'KDA': (KimiDelta(WIDTH, HEAD), kimi),
  'GDN-2': (GatedDeltaNet2(WIDTH, HEAD), gdn_2),
  'GSA': (GatedSlotAttention(WIDTH, HEAD, SLOTS), gsa),
  'GLA': (GLA(WIDTH, HEAD), gla),
  'HGRN2': (HGRN2(WIDTH, HEAD, index=3, depth=4), upper),
  'HGRN2, lowest layer': (HGRN2(WIDTH, HEAD), lowest),
}


@pytest.mark.fast_cases(1)
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
    (GatedSlotAttention, 'slots', -1, 'must be at least 0'),
    (GatedSlotAttention, 'chunk', 17, 'must be from 1 to 16'),
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


def test_slots_show_what_they_forget_and_who_is_read() -> None:
  under_test = layer(GatedSlotAttention(WIDTH, HEAD, SLOTS), WIDTH)
  p, (x, reset) = under_test.params64(), under_test.rows64()[0]
  shown = under_test.show([7, 6])[1]
  forget = sigmoid(affine(p['forget'], x)) ** (1 / 8)
  np.testing.assert_allclose(shown['forget_gate'][0], forget, rtol=1e-5)
  weights = shown['read_weights']
  assert weights.shape == (2, len(x), HEADS, SLOTS)
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
  # The first step after a reset: every slot holds a share of one key.
  q, k = np.split(silu(affine(p['qkv'], x[5])), 3)[:2]
  scores = (heads(q) * heads(k)).sum(-1)[:, None] * (1 - heads(forget[5]))
  expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
  assert reset[5]
  np.testing.assert_allclose(weights[0, 5], expected, rtol=1e-5)
