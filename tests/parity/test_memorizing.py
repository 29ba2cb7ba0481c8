"""The Memorizing Transformer's layer against a float64 loop."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.memorizing import MemorizingAttention
from memjax.models.attention.transformer import SlidingAttention
from memjax.models.base import apply
from memjax.ops.nearest import nearest_attention
from tests.parity.equations import affine, sigmoid
from tests.parity.layers import STEPS, layer

SLOW = functools.partial(pytest.param, marks=pytest.mark.slow)
D, K, WINDOW, SLOTS, COUNT = 6, 3, 2, 5, 3


def softmax(scores: np.ndarray) -> np.ndarray:
  e = np.exp(scores - scores.max())
  return e / e.sum()


def paper(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """One row: the outputs, and the weights of each head by distance."""
  q, k, v = np.split(affine(p['qkv'], x), 3, axis=1)
  y, begin = np.zeros((len(x), D)), 0
  lags = np.zeros((len(x), D // K, WINDOW + SLOTS + 1))
  for t in range(len(x)):
    begin = t if reset[t] else begin
    edge = t - WINDOW
    near = list(range(max(begin, edge), t + 1))
    far = list(range(max(begin, edge - SLOTS), max(begin, edge)))
    for h in range(D // K):
      part, g = slice(h * K, (h + 1) * K), sigmoid(p['far'][h])
      score = k[:, part] @ q[t, part] / np.sqrt(K)
      nearest = sorted(far, key=lambda s: -score[s])[:COUNT]
      for steps, share in ((near, 1 - g), (nearest, g)):
        if not steps:
          continue
        weights = share * softmax(score[steps])
        y[t, part] += weights @ v[steps, part]
        lags[t, h, t - np.array(steps)] += weights
  return affine(p['output'], y), lags


@pytest.fixture(scope='module')
def one() -> Any:
  fields: dict[str, Any] = {'window': WINDOW, 'slots': SLOTS}
  fields |= {'neighbours': COUNT}
  memory = MemorizingAttention(width=D, head_width=K, chunk=4, **fields)
  return layer(memory, D, scale=0.8)


@pytest.mark.parametrize('sizes', [[5, 7, 1], SLOW([STEPS]), SLOW([1] * STEPS)])
def test_the_equations(one: Any, sizes: list[int]) -> None:
  _, shown = one.show(sizes)
  rows = [paper(one.params64(), *row) for row in one.rows64()]
  y, lags = (np.stack(arrays) for arrays in zip(*rows, strict=True))
  np.testing.assert_allclose(shown['y'], y, atol=2e-5)
  np.testing.assert_allclose(shown['lag_weights'], lags, atol=2e-6)
  assert (lags[..., WINDOW + 1 :].sum(-1) > 0).any()


@pytest.mark.slow
def test_no_gradient_reaches_what_is_far(one: Any) -> None:
  """The loss at the last step knows far inputs, and has no gradient there."""

  def last(x: jax.Array) -> jax.Array:
    carry = one.model.initial_carry(2)
    read = carry, x, jnp.zeros_like(one.reset_BT)
    return one.model.apply({'params': one.params}, *read)[1][:, -1].sum()

  last = jax.jit(last)
  value, gradient = last(one.x_BTF), jax.jit(jax.grad(last))(one.x_BTF)
  by_step = np.abs(gradient).sum((0, 2))
  assert (by_step[-WINDOW - 1 :] > 0).all()
  assert (by_step[: -WINDOW - 1] == 0).all()
  far = slice(-WINDOW - SLOTS - 1, -WINDOW - 1)
  assert not np.isclose(last(one.x_BTF.at[:, far].multiply(-1.0)), value)


@pytest.mark.slow
def test_a_gate_of_nothing_is_sliding_attention(one: Any) -> None:
  params = {**one.params, 'far': jnp.full((D // K,), -40.0)}
  near = {name: p for name, p in params.items() if name != 'far'}
  sliding = SlidingAttention(width=D, head_width=K, window=WINDOW)
  read = one.x_BTF, one.reset_BT
  _, y = apply(one.model, params, one.model.initial_carry(2), *read)
  _, z = apply(sliding, near, sliding.initial_carry(2), *read)
  np.testing.assert_allclose(y, z, atol=5e-6)


@pytest.mark.slow
def test_pieces_of_any_size_read_the_same() -> None:
  """Heads that share keys; more keys than queries; pieces that do not fit."""
  rng = np.random.default_rng(0)
  q, k, v = (
    jnp.asarray(rng.normal(size=(2, n, h, 3)), jnp.float32)
    for n, h in ((7, 4), (7 + 9, 2), (7 + 9, 2))
  )
  run = jnp.asarray([[-1] * 4 + [0] * 12, [0] * 10 + [1] * 6])
  y, weights, distance = nearest_attention(q, k, v, run, 2, 6, 2, 7)
  for chunk in (1, 3, 64):
    pieces = nearest_attention(q, k, v, run, 2, 6, 2, chunk)
    np.testing.assert_allclose(y, pieces[0], atol=1e-6)
    np.testing.assert_allclose(weights, pieces[1], atol=1e-6)
    read = np.asarray(weights) > 0
    np.testing.assert_array_equal(
      np.asarray(distance)[read], np.asarray(pieces[2])[read]
    )


def test_fields_are_checked() -> None:
  for field, value in (('slots', 0), ('neighbours', 0), ('neighbours', 9)):
    fields: dict[str, Any] = {'slots': 8, 'neighbours': 2} | {field: value}
    with pytest.raises(ConfigError, match=f'^{field}'):
      MemorizingAttention(width=4, head_width=2, window=2, **fields)
  memory = MemorizingAttention(4, 2, window=2, slots=8, neighbours=3)
  assert memory.horizon == 10
  assert memory.with_horizon(6).horizon == 6
  with pytest.raises(ConfigError, match='at least window'):
    memory.with_horizon(4)
