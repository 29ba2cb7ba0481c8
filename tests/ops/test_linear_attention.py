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


DECAYS = {
  'none': (0.0,),
  'slow': (0.0, 0.01, 0.1),
  'fast': (0.0, 1.0, 20.0),
  'channels': (0.0, 0.1, 1.0),
  'fast channels': (0.0, 5.0),
}


def draw(
  length: int, some_resets: bool, decays: str = 'none'
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  rng = np.random.default_rng(length)
  key = rng.random((ROWS, length, HEADS, KEY))
  arrays = {
    'w': rng.normal(size=(ROWS, HEADS, KEY, VALUE)),
    'q': rng.normal(size=(ROWS, length, HEADS, KEY)),
    'k': key / key.sum(-1, keepdims=True),
    'v': rng.normal(size=(ROWS, length, HEADS, VALUE)),
    'erase': rng.random((ROWS, length, HEADS, 1)) * key,
  }
  axes = (KEY,) if 'channels' in decays else ()
  shape = ROWS, length, HEADS, *axes
  arrays['log_decay'] = -rng.choice(DECAYS[decays], shape)
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
        w = (np.exp(a['log_decay'][b, t, h]) * w.T).T
        k, value = a['k'][b, t, h], a['v'][b, t, h]
        if delta:
          value = value - w.T @ a['erase'][b, t, h]
        w = w + np.outer(k, value)
        y[b, t, h] = w.T @ a['q'][b, t, h]
      after[b, h] = w
  return after, y


def jax_of(
  a: dict[str, np.ndarray], reset: np.ndarray, *, delta: bool, chunk: int = 64
) -> tuple[jax.Array, jax.Array]:
  w, q, k, v, erase, log_decay = (
    jnp.asarray(x, jnp.float32) for x in a.values()
  )
  inputs = (w, q, k, v, erase) if delta else (w, q, k, v)
  decays = {'log_decay': log_decay} if a['log_decay'].any() else {}
  rule = jax.jit(correct if delta else add, static_argnames='chunk')
  return rule(*inputs, jnp.asarray(reset), chunk=chunk, **decays)


@pytest.mark.fast_cases(40)
@pytest.mark.parametrize('chunk', CHUNKS)
@pytest.mark.parametrize('delta', [False, True])
@pytest.mark.parametrize('some_resets', [False, True])
@pytest.mark.parametrize('decays', DECAYS)
@pytest.mark.parametrize('length', [1, 8, 13, 16])
def test_chunks_equal_steps(
  length: int, decays: str, some_resets: bool, delta: bool, chunk: int
) -> None:
  arrays, reset = draw(length, some_resets, decays)
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
  arrays = {'w': np.zeros((1, 1, KEY, 1)), 'q': key, 'k': key, 'v': value}
  arrays |= {'erase': key, 'log_decay': np.zeros((1, 2, 1))}
  reset = np.zeros((1, 2), bool)
  np.testing.assert_allclose(
    jax_of(arrays, reset, delta=True)[1].ravel(), [1, 5]
  )
  np.testing.assert_allclose(
    jax_of(arrays, reset, delta=False)[1].ravel(), [1, 6]
  )


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('rule', [add, correct])
def test_memory_grows_with_the_steps_and_not_with_their_square(
  rule: Callable[..., Any],
) -> None:
  def floats(length: int) -> int:
    arrays, reset = draw(length, some_resets=False)
    arrays = {name: arrays[name] for name in ('w', 'q', 'k', 'v', 'erase')}
    if rule is add:
      del arrays['erase']
    inputs = [jnp.asarray(x, jnp.float32) for x in arrays.values()]
    compiled = jax.jit(rule).lower(*inputs, jnp.asarray(reset)).compile()
    used = compiled.memory_analysis()
    assert used is not None
    return used.temp_size_in_bytes

  assert floats(2048) < 3 * floats(1024)


def differentiated(
  rule: Callable[..., Any], inputs: Any, log_decay: Any, reset: Any
) -> tuple[jax.Array, jax.Array]:
  """The steps one by one in plain JAX, which differentiates them."""
  w, q, k, v, *erase = inputs
  reads = []
  for t in range(reset.shape[1]):
    w = jnp.where(reset[:, t, None, None, None], 0, w)
    axes = (1,) * (5 - log_decay.ndim)
    w *= jnp.exp(log_decay[:, t]).reshape(*log_decay[:, t].shape, *axes)
    value = v[:, t]
    if rule is correct:
      value -= jnp.einsum('BHK,BHKV->BHV', erase[0][:, t], w)
    w += jnp.einsum('BHK,BHV->BHKV', k[:, t], value)
    reads.append(jnp.einsum('BHK,BHKV->BHV', q[:, t], w))
  return w, jnp.stack(reads, 1)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize('rule', [add, correct])
@pytest.mark.parametrize('decays', ['slow', 'fast', 'channels'])
def test_gradients_are_those_of_the_steps(
  decays: str, rule: Callable[..., Any]
) -> None:
  arrays, reset = draw(13, some_resets=True, decays=decays)
  with jax.enable_x64(True):
    w, q, k, v, erase, log_decay = map(jnp.asarray, arrays.values())
    inputs = [w, q, k, v, erase][: 5 if rule is correct else 4]
    weight = jnp.asarray(np.random.default_rng(0).normal(size=v.shape))
    reset_BT = jnp.asarray(reset)

    def loss(results: tuple[jax.Array, jax.Array]) -> jax.Array:
      after, y = results
      return (weight * jnp.sin(y)).sum() + (after**2).sum()

    def ours(inputs: Any, log_decay: Any) -> jax.Array:
      results = rule(*inputs, reset_BT, log_decay=log_decay, chunk=5)
      return loss(results)

    def theirs(inputs: Any, log_decay: Any) -> jax.Array:
      return loss(differentiated(rule, inputs, log_decay, reset_BT))

    # The gate of a step with a reset decays nothing.
    for found, expected in zip(
      jax.tree.leaves(jax.jit(jax.grad(ours, (0, 1)))(inputs, log_decay)),
      jax.tree.leaves(jax.jit(jax.grad(theirs, (0, 1)))(inputs, log_decay)),
      strict=True,
    ):
      assert np.isfinite(found).all()
      np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('decays', ['fast', 'fast channels'])
@pytest.mark.parametrize('rule', [add, correct])
def test_gradients_are_finite_where_a_mask_hides_an_overflow(
  rule: Callable[..., Any], decays: str
) -> None:
  arrays, reset = draw(64, some_resets=True, decays=decays)
  w, q, k, v, erase, log_decay = (
    jnp.asarray(x, jnp.float32) for x in arrays.values()
  )
  assert -log_decay.sum(1).max() > np.log(np.finfo(np.float32).max)
  inputs = (w, q, k, v, erase)[: 5 if rule is correct else 4]

  def loss(inputs: Any, log_decay: jax.Array) -> jax.Array:
    after, y = rule(*inputs, jnp.asarray(reset), log_decay=log_decay)
    return (y**2).sum() + (after**2).sum()

  gradients = jax.jit(jax.grad(loss, (0, 1)))(inputs, log_decay)
  for gradient in jax.tree.leaves(gradients):
    assert np.isfinite(gradient).all()


def test_a_channel_keeps_at_least_the_share_that_the_docstring_says() -> None:
  arrays, reset = draw(40, some_resets=True, decays='fast channels')
  least = jax_of(arrays, reset, delta=False)
  arrays['log_decay'] *= 100
  for found, expected in zip(
    jax_of(arrays, reset, delta=False), least, strict=True
  ):
    np.testing.assert_array_equal(found, expected)
