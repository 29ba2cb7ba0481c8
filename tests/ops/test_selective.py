"""The selective state space against a loop over steps in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.selective import PIECE, selective

ROWS, CHANNELS, NUMBERS = 2, 3, 4


def draw(length: int) -> tuple[list[np.ndarray], np.ndarray]:
  """h, dt, x, b, c, a and resets, two of them in a row."""
  rng = np.random.default_rng(length)

  def normal(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)

  steps = ROWS, length
  arrays = [
    normal(ROWS, CHANNELS, NUMBERS),
    rng.choice([0.001, 0.1, 3.0], (*steps, CHANNELS)),
    normal(*steps, CHANNELS),
    normal(*steps, NUMBERS),
    normal(*steps, NUMBERS),
    -np.exp(normal(CHANNELS, NUMBERS)),
  ]
  reset = rng.random(steps) < 0.1
  reset[0, length // 2 :][:2] = True
  return arrays, reset


def loop(arrays: Any, reset: Any) -> tuple[Any, Any]:
  """The equations in plain JAX, which differentiates them."""
  h, *steps, a = arrays

  def step(h: Any, now: Any) -> tuple[Any, Any]:
    dt, x, b, c, reset = now
    h = jnp.where(reset[:, None, None], 0, h)
    h = jnp.exp(dt[..., None] * a[None]) * h
    h += jnp.einsum('BE,BN->BEN', dt * x, b)
    return h, jnp.einsum('BEN,BN->BE', h, c)

  now = [jnp.swapaxes(x, 0, 1) for x in (*steps, reset)]
  h, y = jax.lax.scan(step, h, now)
  return h, jnp.swapaxes(y, 0, 1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('length', [2 * PIECE + 3, 1, PIECE - 1, PIECE])
def test_it_and_its_gradients_equal_the_loop(length: int) -> None:
  arrays, reset = draw(length)
  with jax.enable_x64(True):
    inputs, reset_BT = [jnp.asarray(x) for x in arrays], jnp.asarray(reset)

    def ours(inputs: Any) -> tuple[jax.Array, Any]:
      h, dt, x, b, c, a = inputs
      last, y = selective(h, dt, x, b, c, a, reset_BT)
      return jnp.sin(y).sum() + (last**2).sum(), (last, y)

    def theirs(inputs: Any) -> tuple[jax.Array, Any]:
      last, y = loop(inputs, reset_BT)
      return jnp.sin(y).sum() + (last**2).sum(), (last, y)

    for found, expected in zip(
      jax.tree.leaves(jax.jit(jax.grad(ours, has_aux=True))(inputs)),
      jax.tree.leaves(jax.jit(jax.grad(theirs, has_aux=True))(inputs)),
      strict=True,
    ):
      np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_one_state_for_each_piece_is_kept_for_the_gradient() -> None:
  """Not one for each step, nor the T E N exponentials."""
  length, wide = 64 * PIECE, 64
  rng = np.random.default_rng(0)
  shapes: list[tuple[int, ...]] = [
    (ROWS, wide, 16),
    *[(ROWS, length, wide)] * 2,
  ]
  shapes += [*[(ROWS, length, 16)] * 2, (wide, 16)]
  arrays = [jnp.asarray(-rng.random(s), jnp.float32) for s in shapes]
  reset_BT = jnp.zeros((ROWS, length), bool)

  def loss(arrays: Any) -> jax.Array:
    h, dt, x, b, c, a = arrays
    return selective(h, -dt, x, b, c, a, reset_BT)[1].sum()

  compiled = jax.jit(jax.grad(loss)).lower(arrays).compile()
  used = compiled.memory_analysis()
  assert used is not None
  of_all_steps = 4 * ROWS * length * wide * 16
  assert used.temp_size_in_bytes < of_all_steps / 2
