"""Adaptive and expiring spans against their papers, in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.adaptive_span import AdaptiveSpan
from memjax.models.attention.expire_span import ExpireSpan
from memjax.models.base import Memory, apply
from memjax.ops.spans import NEVER, clamped, log_mask, penalised
from tests.parity.equations import affine, sigmoid
from tests.parity.layers import layer

FEATURES, WIDTH, HEAD, WINDOW, CLIP, RAMP = 5, 5, 3, 7, 2, 3
HEADS = 2
FIELDS: dict[str, Any] = {'width': WIDTH, 'head_width': HEAD, 'window': WINDOW}
ADAPTIVE = AdaptiveSpan(**FIELDS, ramp=RAMP, positions='shaw', clip=CLIP)
EXPIRING = ExpireSpan(**FIELDS, ramp=RAMP, clip=CLIP)


def mask(span: float, distance: int) -> float:
  return min(max(1 + (span - distance) / RAMP, 0), 1)


def attention(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, expiring: bool
) -> np.ndarray:
  """One row, both papers: they differ in what has a span."""
  y, first = [], 0
  q, k, v = (
    part.reshape(len(x), HEADS, HEAD)
    for part in np.split(affine(p['qkv'], x), 3, axis=1)
  )
  for t in range(len(x)):
    first = t if reset[t] else first
    heads = []
    for h in range(HEADS):
      top, below = np.zeros(HEAD), 0.0
      for s in range(max(first, t - WINDOW), t + 1):
        if expiring:
          span = WINDOW * sigmoid(affine(p['expire'], x[s]))[0]
        else:
          span = WINDOW * min(max(p['span'][h], 0), 1)
        key = k[s, h] + p['distance'][min(t - s, CLIP)]
        weight = mask(span, t - s) * np.exp(q[t, h] @ key / np.sqrt(HEAD))
        top += weight * v[s, h]
        below += weight
      heads.append(top / below)
    y.append(affine(p['output'], np.concatenate(heads)))
  return np.stack(y)


PIECES = pytest.param([8, 1, 4], marks=pytest.mark.slow)


@pytest.mark.parametrize('sizes', [[13], PIECES])
@pytest.mark.parametrize('model', [ADAPTIVE, EXPIRING])
def test_layer_equals_the_papers_equations(
  model: Memory, sizes: list[int]
) -> None:
  under_test = layer(model, FEATURES)
  p = under_test.params64()
  if model is ADAPTIVE:
    spans = jnp.array([0.3, 0.05])  # one beyond the ramp's end, one within
    under_test.params['span'] = spans
    p['span'] = np.asarray(spans, np.float64)
  expected = [
    attention(p, *row, model is EXPIRING) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize('model', [ADAPTIVE, EXPIRING])
def test_weights_end_with_the_span(model: Memory) -> None:
  under_test = layer(model, FEATURES)
  if model is ADAPTIVE:
    under_test.params['span'] = jnp.array([0.3, 0.05])
  else:
    under_test.params['expire']['kernel'] *= 0
    under_test.params['expire']['bias'] = jnp.array([np.log(0.3 / 0.7)])
  _, shown = under_test.show([8, 5])
  weights = shown['lag_weights']
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
  reach = 5  # 0.3 of 7 steps, and the ramp
  assert weights[1, -1, 0, reach] > 0
  assert not weights[..., reach + 1 :].any()
  expected = [0.3, 0.05] if model is ADAPTIVE else 0.3
  np.testing.assert_allclose(
    shown['span_gate'],
    np.broadcast_to(expected, shown['span_gate'].shape),
    rtol=1e-5,
  )


def test_masks_fall_to_zero_without_a_gradient() -> None:
  distance = jnp.arange(6.0)
  values = [mask(1.0, d) for d in range(6)]
  found = log_mask(jnp.array(1.0), distance, RAMP)
  np.testing.assert_allclose(found[:4], np.log(values[:4]), atol=1e-6)
  assert (found[4:] == NEVER).all()
  slope = jax.grad(lambda span: log_mask(span, distance[4:], RAMP).sum())(1.0)
  assert slope == 0


def test_beyond_a_bound_the_gradient_leads_back() -> None:
  x = jnp.array([-0.5, -0.5, 0.3, 1.2, 1.2])
  wanted = jnp.array([1.0, -1.0, 2.0, 1.0, -1.0])
  found = jax.grad(lambda x: (clamped(x) * wanted).sum())(x)
  assert found.tolist() == [0, -1, 2, 1, 0]
  np.testing.assert_allclose(clamped(x), [0, 0, 0.3, 1, 1])


def test_a_penalty_is_a_further_summand_of_the_gradient() -> None:
  x = jnp.array([1.0, 2.0])
  found = jax.grad(lambda x: (penalised(x, 0.25) ** 2).sum())(x)
  expected = jax.grad(lambda x: (x**2).sum() + 0.25 * x.sum())(x)
  assert found.tolist() == expected.tolist()


@pytest.mark.slow
@pytest.mark.parametrize('model', [ADAPTIVE, EXPIRING])
def test_the_penalty_counts_in_training_alone(model: Memory) -> None:
  under_test = layer(model.clone(penalty=0.5), FEATURES)
  x, reset_BT = under_test.x_BTF, under_test.reset_BT
  if model is ADAPTIVE:
    under_test.params['span'] = jnp.array([0.3, 0.05])

  def gradient(penalty: float, noise: Any) -> Any:
    one = model.clone(penalty=penalty)
    start = one.initial_carry(len(x))

    def loss(params: Any) -> jax.Array:
      _, y = apply(one, params, start, x, reset_BT, noise=noise)
      return y.sum()

    return jax.grad(loss)(under_test.params)

  key = jax.random.key(0)
  plain, more = gradient(0.0, key), gradient(0.5, key)
  same = gradient(0.5, None)
  jax.tree.map(np.testing.assert_array_equal, plain, same)
  if model is ADAPTIVE:
    # 26 steps; each z is 7 times its share, and the penalty half of their mean.
    added = np.full(HEADS, 0.5 / HEADS * 26 * WINDOW)
    np.testing.assert_allclose(more['span'] - plain['span'], added, rtol=1e-4)
  else:
    share = sigmoid(
      np.asarray(affine(under_test.params64()['expire'], np.asarray(x)))
    )
    added = 0.5 * WINDOW * (share * (1 - share)).sum()
    found = more['expire']['bias'] - plain['expire']['bias']
    np.testing.assert_allclose(found, [added], rtol=1e-3)


@pytest.mark.parametrize('cls', [AdaptiveSpan, ExpireSpan])
@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'ramp': 0}, 'ramp: 0: must be at least 1'),
    ({'span': 2.0}, 'span: 2.0: must be in '),
    ({'penalty': -1.0}, 'penalty: -1.0: must be at least 0'),
    ({'head_width': 0}, 'head_width: 0: must be at least 1'),
  ],
)
def test_wrong_fields_are_refused(
  cls: Any, fields: dict[str, Any], words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    cls(**FIELDS | fields)
  assert words in str(error.value)
