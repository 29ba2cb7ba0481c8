"""RWKV-6 and RWKV-7 against their papers' equations in float64."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import Memory
from memjax.models.linear.channel_mix import ChannelMix, GatedChannelMix
from memjax.models.linear.rwkv6 import RWKV6
from memjax.models.linear.rwkv7 import RWKV7
from tests.parity.equations import affine, sigmoid, silu, unit
from tests.parity.layers import layer

WIDTH, HEADS, HEAD = 8, 2, 4


def heads(a: np.ndarray) -> np.ndarray:
  return a.reshape(HEADS, HEAD)


def pairs(
  x: np.ndarray, reset: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Each step and what it differs by from the one before in its run."""
  for t in range(len(x)):
    before = np.zeros(WIDTH) if t == 0 or reset[t] else x[t - 1]
    yield x[t], before - x[t]


def normalised(p: dict[str, Any], y: np.ndarray) -> np.ndarray:
  y = y - y.mean(-1, keepdims=True)
  y /= np.sqrt(y.var(-1, keepdims=True) + HEAD * 1e-5)
  return y.reshape(-1) * p['scale'] + p['bias']


def rwkv6(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  mu = p['shifts'].reshape(5, WIDTH)
  bonus = heads(p['bonus'])
  w, outputs = np.zeros((HEADS, HEAD, HEAD)), []
  for t, (now, d) in enumerate(pairs(x, reset)):
    w = 0 * w if reset[t] else w
    s = np.tanh(affine(p['shift_low'], now + d * p['shift'])).reshape(5, -1)
    x_w, x_k, x_v, x_r, x_g = (
      now + d * (mu[i] + s[i] @ p['shift_high'][i]) for i in range(5)
    )
    decay = affine(p['decay_input'], np.tanh(affine(p['decay_low'], x_w)))
    decay = heads(np.exp(-np.minimum(np.exp(decay), 5)))
    r, k, v = (
      heads(affine(p[name], a))
      for name, a in (('receptance', x_r), ('key', x_k), ('value', x_v))
    )
    y = np.zeros((HEADS, HEAD))
    for h in range(HEADS):
      written = np.outer(k[h], v[h])
      y[h] = (w[h] + np.diag(bonus[h]) @ written).T @ r[h]
      w[h] = np.diag(decay[h]) @ w[h] + written
    y = normalised(p['norm'], y) * silu(affine(p['gate'], x_g))
    outputs.append(affine(p['output'], y))
  return np.stack(outputs)


def rwkv7(
  p: dict[str, Any],
  x: np.ndarray,
  reset: np.ndarray,
  first: list[np.ndarray] | None = None,
) -> np.ndarray:
  """One row, `(T, D)`.

  Args:
    first: the lowest layer's values of each step, which it writes there.
  """
  first = [] if first is None else first
  mu = dict(zip('rwkvag', p['shifts'].reshape(6, WIDTH), strict=True))
  w, outputs = np.zeros((HEADS, HEAD, HEAD)), []
  for t, (now, d) in enumerate(pairs(x, reset)):
    w = 0 * w if reset[t] else w
    x_i = {name: now + d * share for name, share in mu.items()}
    r, k, v = (affine(p[n], x_i[n[0]]) for n in ('receptance', 'key', 'value'))
    if 'first' in p:
      share = affine(p['first_high'], affine(p['first_low'], x_i['v']))
      v = v + (first[t] - v) * sigmoid(share + p['first'])
    else:
      first.append(v)
    low = {
      name: affine(p[f'{name}_low'], x_i[i])
      for name, i in (('decay', 'w'), ('rate', 'a'), ('gate', 'g'))
    }
    decay = affine(p['decay_high'], np.tanh(low['decay'])) + p['decay']
    decay = heads(np.exp(-np.exp(-0.5) * sigmoid(decay)))
    a = sigmoid(affine(p['rate_high'], low['rate']) + p['rate'])
    gate = affine(p['gate_high'], sigmoid(low['gate']))
    erase = unit(heads(k * p['erase']))
    k = heads(k * (1 + (a - 1) * p['key_share']))
    r, v, a = heads(r), heads(v), heads(a)
    y = np.zeros((HEADS, HEAD))
    for h in range(HEADS):
      transition = np.diag(decay[h]) - np.outer(erase[h] * a[h], erase[h])
      w[h] = transition @ w[h] + np.outer(k[h], v[h])
      y[h] = w[h].T @ r[h]
    own = (r * k * heads(p['own'])).sum(-1, keepdims=True) * v
    y = normalised(p['norm'], y) + own.reshape(-1)
    outputs.append(affine(p['output'], y * gate))
  return np.stack(outputs)


def channel_mix(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray
) -> np.ndarray:
  """One row, `(T, D)`."""
  outputs = []
  for now, d in pairs(x, reset):
    units = np.maximum(0, affine(p['key'], now + d * p['shift'])) ** 2
    y = affine(p['value'], units)
    if 'receptance' in p:
      y = y * sigmoid(affine(p['receptance'], now + d * p['gate_shift']))
    outputs.append(y)
  return np.stack(outputs)


CASES: dict[str, tuple[Memory, Any]] = {
  'RWKV-6': (RWKV6(WIDTH, HEAD, chunk=4), rwkv6),
  'RWKV-7': (RWKV7(WIDTH, HEAD, chunk=4), rwkv7),
  'channel mix': (ChannelMix(WIDTH), channel_mix),
  'gated channel mix': (GatedChannelMix(WIDTH), channel_mix),
}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('name', CASES)
def test_it_equals_the_papers_equations(name: str, sizes: list[int]) -> None:
  model, equations = CASES[name]
  under_test = layer(model, WIDTH, scale=0.4)
  expected = [
    equations(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-5, atol=5e-5)


def test_the_first_values_depend_on_the_place_in_the_stack() -> None:
  first, last = (
    layer(RWKV7(WIDTH, HEAD, index=i, depth=3), WIDTH).fresh_params()
    for i in (0, 2)
  )
  decays = -5.5 + 6 * np.linspace(0, 1, WIDTH) ** np.array([[1], [2]])
  s = np.tile(np.linspace(-1, 1, HEAD), HEADS)
  decays += 2.5 * s * abs(s)
  np.testing.assert_allclose(first['decay'], decays[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(last['decay'], decays[1], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(last['norm']['scale'], 1)
  np.testing.assert_allclose(first['norm']['scale'], (1 / 3) ** 0.7)
  shares = 1 - (np.arange(WIDTH) / WIDTH) ** (0.9 / 3)
  np.testing.assert_allclose(
    last['shifts'][WIDTH : 2 * WIDTH], shares, rtol=1e-5
  )


def test_first_values_of_the_older_version() -> None:
  under_test = layer(RWKV6(WIDTH, HEAD, index=2, depth=3), WIDTH)
  p = under_test.fresh_params()
  n = np.arange(WIDTH) / WIDTH
  decays = -6 + 5 * np.linspace(0, 1, WIDTH) ** 2
  np.testing.assert_allclose(p['decay_input']['bias'], decays, rtol=1e-5)
  _, _, values, _, gates = np.split(np.asarray(p['shifts']), 5)
  np.testing.assert_allclose(values, 0.7 - n ** (1 / 3), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(gates, 1 - n ** (1 / 6), rtol=1e-4, atol=1e-6)
  bonus = np.linspace(1, 0, WIDTH) + 0.1 * (np.arange(1, WIDTH + 1) % 3 - 1)
  np.testing.assert_allclose(p['bonus'], bonus, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('kind', 'fields', 'message'),
  [
    (RWKV6, {'head_width': 0}, 'head_width: 0: must be at least 1'),
    (RWKV6, {'head_width': 2, 'chunk': 17}, 'chunk: 17: must be from 1 to 16'),
    (RWKV7, {'head_width': 2, 'chunk': 0}, 'chunk: 0: must be from 1 to 16'),
    (ChannelMix, {'ratio': 0.1}, 'ratio: 0.1: must make at least one hidden'),
  ],
)
def test_settings_are_checked(
  kind: Any, fields: dict[str, Any], message: str
) -> None:
  with pytest.raises(ConfigError, match=f'^{message}'):
    kind(WIDTH, **fields)
