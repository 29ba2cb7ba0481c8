"""Exponential gates against the loop without the maximum, in float64."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.exponential import Memory, exponential, nothing

ROWS, HEADS, KEY, VALUE = 2, 2, 4, 3
SPREADS = {'mild': 1.0, 'wide': 30.0}  # of log i; exp(90) is beyond float32


def draw(
  length: int, spread: str = 'mild'
) -> tuple[list[np.ndarray], np.ndarray]:
  """q, k, v, log i, log f and resets, two of them in a row."""
  rng = np.random.default_rng(length)
  shape = ROWS, length, HEADS
  arrays = [rng.normal(size=(*shape, size)) for size in (KEY, KEY, VALUE)]
  arrays.append(SPREADS[spread] * rng.normal(size=shape))
  arrays.append(-rng.choice([0.0, 0.1, 1.0, 20.0], shape))
  reset = rng.random((ROWS, length)) < 0.1
  reset[0, length // 2 :][:2] = True
  return arrays, reset


def plain(
  state: tuple[Any, Any], arrays: Any, reset: Any
) -> tuple[tuple[Any, Any], Any]:
  """The equations as they stand; w and z are not divided by anything."""
  (w, z), reads = state, []
  q, k, v, log_i, log_f = arrays
  for t in range(reset.shape[1]):
    w = jnp.where(reset[:, t, None, None, None], 0, w)
    z = jnp.where(reset[:, t, None, None], 0, z)
    f, i = jnp.exp(log_f[:, t])[..., None], jnp.exp(log_i[:, t])[..., None]
    w = f[..., None] * w + jnp.einsum('BHK,BHV->BHKV', i * k[:, t], v[:, t])
    z = f * z + i * k[:, t]
    read = jnp.einsum('BHKV,BHK->BHV', w, q[:, t])
    total = jnp.abs((z * q[:, t]).sum(-1, keepdims=True))
    reads.append(read / jnp.maximum(total, 1))
  return (w, z), jnp.stack(reads, 1)


def empty() -> tuple[jax.Array, jax.Array]:
  return jnp.zeros((ROWS, HEADS, KEY, VALUE)), jnp.zeros((ROWS, HEADS, KEY))


def single(arrays: list[np.ndarray]) -> list[jax.Array]:
  return [jnp.asarray(x, jnp.float32) for x in arrays]


@functools.partial(jax.jit, static_argnames='chunk')
def read(
  memory: Memory, inputs: Any, reset_BT: Any, chunk: int
) -> tuple[Memory, jax.Array]:
  q, k, v, log_i, log_f = inputs
  return exponential(memory, q, k, v, log_i, log_f, reset_BT, chunk=chunk)


@pytest.mark.fast_cases(9)
@pytest.mark.parametrize('spread', SPREADS)
@pytest.mark.parametrize('chunk', [1, 4, 64])
@pytest.mark.parametrize('length', [1, 8, 13])
def test_it_equals_the_equations(length: int, chunk: int, spread: str) -> None:
  arrays, reset = draw(length, spread)
  fresh = nothing(ROWS, HEADS, KEY, VALUE)
  memory, y = read(fresh, single(arrays), jnp.asarray(reset), chunk)
  with jax.enable_x64(True):
    inputs = [jnp.asarray(x) for x in arrays]
    (w, z), expected = plain(empty(), inputs, jnp.asarray(reset))
  np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-4)
  scale = np.exp(np.float64(memory.m_BH))[..., None]
  np.testing.assert_allclose(
    memory.z_BHK * scale, z, rtol=2e-4, atol=1e-5 * np.abs(z).max()
  )
  np.testing.assert_allclose(
    memory.w_BHKV * scale[..., None], w, rtol=2e-4, atol=1e-5 * np.abs(w).max()
  )


def test_pieces_equal_the_whole() -> None:
  arrays, reset = draw(40, 'wide')
  fresh = nothing(ROWS, HEADS, KEY, VALUE)
  _, whole = read(fresh, single(arrays), jnp.asarray(reset), 8)
  memory, pieces = fresh, []
  for start, stop in ((0, 1), (1, 18), (18, 40)):
    inputs = single([a[:, start:stop] for a in arrays])
    resets = jnp.asarray(reset[:, start:stop])
    memory, y = read(memory, inputs, resets, 8)
    pieces.append(y)
  np.testing.assert_allclose(
    jnp.concatenate(pieces, 1), whole, rtol=2e-4, atol=2e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize('chunk', [4, 64])
def test_gradients_are_those_of_the_equations(chunk: int) -> None:
  """Although the maximum has none."""
  arrays, reset = draw(13)
  with jax.enable_x64(True):
    inputs, reset_BT = [jnp.asarray(x) for x in arrays], jnp.asarray(reset)
    weight = jnp.asarray(np.random.default_rng(0).normal(size=arrays[2].shape))

    def ours(inputs: Any) -> jax.Array:
      fresh = nothing(ROWS, HEADS, KEY, VALUE)
      fresh = Memory(*(x.astype(jnp.float64) for x in fresh))
      _, y = read(fresh, inputs, reset_BT, chunk)
      return (weight * jnp.sin(y)).sum()

    def theirs(inputs: Any) -> jax.Array:
      y = plain(empty(), inputs, reset_BT)[1]
      return (weight * jnp.sin(y)).sum()

    for found, expected in zip(
      jax.grad(ours)(inputs), jax.grad(theirs)(inputs), strict=True
    ):
      np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.slow
def test_gradients_of_shares_beyond_the_range_are_finite() -> None:
  arrays, reset = draw(40, 'wide')

  def loss(inputs: Any) -> jax.Array:
    fresh = nothing(ROWS, HEADS, KEY, VALUE)
    memory, y = read(fresh, inputs, jnp.asarray(reset), 16)
    return (y**2).sum() + (memory.w_BHKV**2).sum()

  for gradient in jax.grad(loss)(single(arrays)):
    assert np.isfinite(gradient).all()
