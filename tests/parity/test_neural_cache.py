"""The continuous cache against a float64 loop over a trained-like Stack."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model
from memjax.errors import ConfigError
from memjax.models.base import apply, apply_body, apply_readout
from memjax.types import Features, Tokens

SLOW = functools.partial(pytest.param, marks=pytest.mark.slow)
V, D, SLOTS, SHARE, THETA = 5, 6, 4, 0.3, 0.4
STACK = {'name': 'stack.Stack', 'width': D, 'layer': {'name': 'gru.GRU'}}
CACHE = {'slots': SLOTS, 'cache_share': SHARE, 'sharpness': THETA}
CACHED = STACK | CACHE | {'name': 'neural_cache.CachedStack'}
RESETS = np.zeros((2, 14), bool)
RESETS[0, [0, 3, 4, 9]] = True


def setup() -> tuple[Any, Any, Any, jax.Array]:
  """The Stack, the same with a cache, parameters of the Stack, tokens."""
  stack, cached = (
    build_model(s, Tokens(V), Tokens(V)) for s in (STACK, CACHED)
  )
  rng = np.random.default_rng(0)
  ids = jnp.asarray(rng.integers(0, V, RESETS.shape))
  read = stack.initial_carry(2), ids, jnp.asarray(RESETS)
  shapes = jax.eval_shape(stack.init, jax.random.key(0), *read)['params']
  params = jax.tree.map(
    lambda p: jnp.asarray(0.7 * rng.normal(size=p.shape), jnp.float32), shapes
  )
  return stack, cached, params, ids


def paper(
  h: np.ndarray, p: np.ndarray, ids: np.ndarray, reset: np.ndarray
) -> np.ndarray:
  """One row: the logarithms of the mixture."""
  y, begin = np.zeros_like(p), 0
  for t in range(len(ids)):
    begin = t if reset[t] else begin
    pairs = range(max(begin, t - SLOTS), t)
    c = np.zeros(V)
    scores = np.array([np.exp(THETA * h[t] @ h[i]) for i in pairs])
    for i, score in zip(pairs, scores, strict=True):
      c[ids[i + 1]] += score / scores.sum()
    y[t] = np.log((1 - SHARE * c.sum()) * p[t] + SHARE * c)
  return y


@pytest.mark.parametrize('sizes', [[4, 1, 9], SLOW([14]), SLOW([1] * 14)])
def test_the_equations(sizes: list[int]) -> None:
  stack, cached, params, ids = setup()
  reset_BT = jnp.asarray(RESETS)
  fresh = stack.initial_carry(2)
  _, h = apply_body(stack, params, fresh, ids, reset_BT)
  p = jax.nn.softmax(apply_readout(stack, params, h))
  h64, p64 = np.asarray(h, np.float64), np.asarray(p, np.float64)
  rows = zip(h64, p64, np.asarray(ids), RESETS, strict=True)
  expected = np.stack([paper(*row) for row in rows])
  carry, at, ys = cached.initial_carry(2), 0, []
  read = jax.jit(lambda *arguments: apply(cached, *arguments))
  for size in sizes:
    piece = slice(at, at + size)
    carry, y = read(params, carry, ids[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
    at += size
  np.testing.assert_allclose(np.concatenate(ys, 1), expected, atol=2e-5)
  np.testing.assert_allclose(np.exp(expected).sum(-1), 1, atol=1e-6)


@pytest.mark.slow
def test_no_share_is_the_stack() -> None:
  stack, _, params, ids = setup()
  bare = build_model(CACHED | {'cache_share': 0.0}, Tokens(V), Tokens(V))
  read = ids, jnp.asarray(RESETS)
  _, y = apply(stack, params, stack.initial_carry(2), *read)
  _, z = apply(bare, params, bare.initial_carry(2), *read)
  np.testing.assert_allclose(jax.nn.log_softmax(y), z, atol=1e-6)


def test_fields_are_checked() -> None:
  wrong = {'slots': 0, 'cache_share': 1.0, 'sharpness': 0.0}
  for field, value in wrong.items():
    with pytest.raises(ConfigError, match=field):
      build_model(CACHED | {field: value}, Tokens(V), Tokens(V))
  block = {'name': 'transformer.BlockAttention', 'window': 3, 'head_width': 2}
  with pytest.raises(ConfigError, match='must not start anew'):
    build_model(CACHED | {'layer': block}, Tokens(V), Tokens(V))
  with pytest.raises(ConfigError, match='must be tokens'):
    build_model(CACHED, Features(3), Tokens(V))
