"""Time-invariant state spaces of channels against a loop over steps."""

import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.invariant import CHUNK, invariant

ROWS, CHANNELS, UNITS = 2, 3, 4


def draw(length: int) -> tuple[list[np.ndarray], np.ndarray]:
  """h, log decay, angle, b, c, x and resets, two of them in a row."""
  rng = np.random.default_rng(length)
  units = CHANNELS, UNITS
  arrays = [
    rng.normal(size=(ROWS, *units, 2)),
    -rng.choice([0.0, 0.001, 0.3, 20.0], units),
    rng.normal(size=units),
    rng.normal(size=(*units, 2)),
    rng.normal(size=(*units, 2)),
    rng.normal(size=(ROWS, length, CHANNELS)),
  ]
  reset = rng.random((ROWS, length)) < 0.1
  reset[0, length // 2 :][:2] = True
  return arrays, reset


def loop(arrays: Any, reset: Any) -> tuple[Any, Any]:
  """The equations with complex numbers, which JAX differentiates."""
  h, b, c = (
    lax.complex(arrays[i][..., 0], arrays[i][..., 1]) for i in (0, 3, 4)
  )
  factor = jnp.exp(lax.complex(arrays[1], arrays[2]))

  def step(h: Any, now: Any) -> tuple[Any, Any]:
    x, reset = now
    h = jnp.where(reset[:, None, None], jnp.zeros_like(h), h)
    h = factor[None] * h + b[None] * x[..., None].astype(b.dtype)
    return h, (c[None] * h).sum(2).real

  h, y = lax.scan(step, h, (jnp.swapaxes(arrays[5], 0, 1), reset.T))
  return jnp.stack([h.real, h.imag], -1), jnp.swapaxes(y, 0, 1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('length', [2 * CHUNK + 3, 1, CHUNK, CHUNK - 1])
def test_it_and_its_gradients_equal_the_loop(length: int) -> None:
  arrays, reset = draw(length)
  with jax.enable_x64(True):
    inputs, reset_BT = [jnp.asarray(x) for x in arrays], jnp.asarray(reset)

    def loss(read: Any, inputs: Any) -> tuple[jax.Array, Any]:
      last, y = read(inputs)
      return jnp.sin(y).sum() + (last**2).sum(), (last, y)

    found, expected = (
      jax.jit(jax.grad(functools.partial(loss, read), has_aux=True))(inputs)
      for read in (
        lambda x: invariant(*(*x, reset_BT)),
        lambda x: loop(x, reset_BT),
      )
    )
    for one, other in zip(
      jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
      np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def test_one_state_for_each_chunk_is_kept_for_the_gradient() -> None:
  """Not one for each step, which would be T N D complex numbers."""
  length, width, units = 64 * CHUNK, 8, 64
  shapes = [(ROWS, width, units, 2), *[(width, units)] * 2]
  shapes += [(width, units, 2), (width, units, 2), (ROWS, length, width)]
  arrays = [jnp.full(shape, -0.1) for shape in shapes]
  reset_BT = jnp.zeros((ROWS, length), bool)

  def loss(arrays: Any) -> jax.Array:
    h, decay, angle, b, c, x = arrays
    return invariant(h, decay, angle, b, c, x, reset_BT)[1].sum()

  used = jax.jit(jax.grad(loss)).lower(arrays).compile().memory_analysis()
  assert used is not None
  of_all_steps = 4 * ROWS * length * width * units * 2
  assert used.temp_size_in_bytes < of_all_steps / 2
