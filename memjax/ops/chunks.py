"""Segments cut into chunks of equal length, and joined again.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

import jax
import jax.numpy as jnp

from memjax.ops.precision import widened


def cut_heads(x_BTH: jax.Array, chunk: int) -> jax.Array:
  """`(B, T, H, ...)` to `(N, B, H, C, ...)`."""
  return jnp.swapaxes(cut_chunks(x_BTH, chunk), 2, 3)


def cut_chunks(x_BT: jax.Array, chunk: int) -> jax.Array:
  """`(B, T, ...)` to `(N, B, C, ...)`; zeros at the end write nothing.

  Floats are at least float32 (`ops/precision.py`).
  """
  x_BT = widened(x_BT)
  batch, length, *rest = x_BT.shape
  chunks = -(-length // chunk)
  widths = [(0, 0), (0, -length % chunks)] + [(0, 0)] * len(rest)
  x_BT = jnp.pad(x_BT, widths)
  return jnp.moveaxis(x_BT.reshape(batch, chunks, -1, *rest), 1, 0)


def join_chunks(y: jax.Array, length: int) -> jax.Array:
  """`(N, B, H, C, V)` to `(B, T, H, V)`."""
  _, batch, heads, _, width = y.shape
  y = jnp.moveaxis(y, (0, 3), (1, 2)).reshape(batch, -1, heads, width)
  return y[:, :length]
