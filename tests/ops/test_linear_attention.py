"""Chunks of outer products against a loop over steps in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.linear_attention import add, correct

ROWS, HEADS, KEY, VALUE = 2, 2, 4, 3


CHUNKS = (1, 4, 5, 64)


def draw(
  length: int, some_resets: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  rng = np.random.default_rng(length)
  key = rng.random((ROWS, length, HEADS, KEY))
  arrays = {
    'w': rng.normal(size=(ROWS, HEADS, KEY, VALUE)),
    'q': rng.normal(size=(ROWS, length, HEADS, KEY)),
    'k': key / key.sum(-1, keepdims=True),
    'v': rng.normal(size=(ROWS, length, HEADS, VALUE)),
    'beta': rng.random((ROWS, length, HEADS)),
  }
  reset = rng.random((ROWS, length)) < 0.2 * some_resets
  if some_resets:
    reset[0, min(6, length - 1)] = reset[0, min(7, length - 1)] = True
  return arrays, reset


def loop(
  a: dict[str, np.ndarray], reset: np.ndarray, *, delta: bool
) -> tuple[np.ndarray, np.ndarray]:
  after, y = np.zeros_like(a['w']), np.zeros_like(a['v'])
  for b in range(ROWS):
    for h in range(HEADS):
      w = a['w'][b, h]
      for t in range(reset.shape[1]):
        w = np.zeros_like(w) if reset[b, t] else w
        k, value = a['k'][b, t, h], a['v'][b, t, h]
        if delta:
          value = a['beta'][b, t, h] * (value - w.T @ k)
        w = w + np.outer(k, value)
        y[b, t, h] = w.T @ a['q'][b, t, h]
      after[b, h] = w
  return after, y


def jax_of(
  a: dict[str, np.ndarray], reset: np.ndarray, *, delta: bool, chunk: int = 64
) -> tuple[jax.Array, jax.Array]:
  w, q, k, v, beta = (jnp.asarray(x, jnp.float32) for x in a.values())
  inputs = (w, q, k, v, beta) if delta else (w, q, k, v)
  rule = jax.jit(correct if delta else add, static_argnames='chunk')
  return rule(*inputs, jnp.asarray(reset), chunk=chunk)


@pytest.mark.parametrize('chunk', CHUNKS)
@pytest.mark.parametrize('delta', [False, True])
@pytest.mark.parametrize('some_resets', [False, True])
@pytest.mark.parametrize('length', [1, 8, 13, 16])
def test_chunks_equal_steps(
  length: int, some_resets: bool, delta: bool, chunk: int
) -> None:
  arrays, reset = draw(length, some_resets)
  for found, expected in zip(
    jax_of(arrays, reset, delta=delta, chunk=chunk),
    loop(arrays, reset, delta=delta),
    strict=True,
  ):
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('delta', [False, True])
def test_a_long_stream_stays_exact(delta: bool) -> None:
  arrays, reset = draw(700, some_resets=False)
  after, y = jax_of(arrays, reset, delta=delta)
  expected_after, expected = loop(arrays, reset, delta=delta)
  np.testing.assert_allclose(after, expected_after, rtol=1e-5, atol=3e-5)
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize('chunk', CHUNKS)
def test_what_lies_before_a_reset_leaves_no_trace(chunk: int) -> None:
  arrays, reset = draw(13, some_resets=True)
  other = {name: x.copy() for name, x in arrays.items()}
  other['w'] *= 1e6
  for name in ('q', 'k', 'v'):
    other[name][0, :7] *= 1e3
  for delta in (False, True):
    (one, y), (two, y_two) = (
      jax_of(a, reset, delta=delta, chunk=chunk) for a in (arrays, other)
    )
    np.testing.assert_array_equal(y[0, 7:], y_two[0, 7:])
    np.testing.assert_array_equal(one[0], two[0])


def test_the_delta_rule_overwrites_and_a_sum_does_not() -> None:
  key = np.zeros((1, 2, 1, KEY))
  key[..., 1] = 1
  value = np.array([1.0, 5.0]).reshape(1, 2, 1, 1)
  w, ones = np.zeros((1, 1, KEY, 1)), np.ones((1, 2, 1))
  arrays = {'w': w, 'q': key, 'k': key, 'v': value, 'beta': ones}
  reset = np.zeros((1, 2), bool)
  np.testing.assert_allclose(
    jax_of(arrays, reset, delta=True)[1].ravel(), [1, 5]
  )
  np.testing.assert_allclose(
    jax_of(arrays, reset, delta=False)[1].ravel(), [1, 6]
  )


@pytest.mark.parametrize('rule', [add, correct])
def test_memory_grows_with_the_steps_and_not_with_their_square(
  rule: Callable[..., Any],
) -> None:
  def floats(length: int) -> int:
    arrays, reset = draw(length, some_resets=False)
    if rule is add:
      del arrays['beta']
    inputs = [jnp.asarray(x, jnp.float32) for x in arrays.values()]
    compiled = jax.jit(rule).lower(*inputs, jnp.asarray(reset)).compile()
    used = compiled.memory_analysis()
    assert used is not None
    return used.temp_size_in_bytes

  assert floats(2048) < 3 * floats(1024)
