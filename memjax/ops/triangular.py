"""Systems with a unit lower triangular matrix, by products alone.

    (I + L) X = Y

The inverse of two neighbouring blocks on the diagonal is made of theirs:

    | A 0 |^-1    |      A^-1        0   |
    | B D |     = | -D^-1 B A^-1   D^-1  |

so log2 C levels give that of C rows, as stable as substitution. `jax.lax`'s
triangular solve is LAPACK's on a CPU, where each call waits for the threads on
which it runs (jaxlib 0.10): of two at once, each waits for the other for ever.
"""

import jax
from jax import lax
import jax.numpy as jnp


def solve_unit_lower(
  lower: jax.Array, known: jax.Array, *, transposed: bool = False
) -> jax.Array:
  """X of (I + L) X = Y, or of (I + L)^T X = Y.

  Args:
    lower: L, `(..., C, C)`, 0 on and above the diagonal.
    known: Y, `(..., C, V)`.
    transposed: the matrix is (I + L)^T.
  """
  inverse = inverse_unit_lower(lax.stop_gradient(lower))
  if transposed:
    lower, inverse = jnp.swapaxes(lower, -1, -2), jnp.swapaxes(inverse, -1, -2)
  return lax.custom_linear_solve(
    lambda x: x + lower @ x,
    known,
    solve=lambda _, y: inverse @ y,
    transpose_solve=lambda _, y: jnp.swapaxes(inverse, -1, -2) @ y,
  )


def inverse_unit_lower(lower: jax.Array) -> jax.Array:
  """(I + L)^-1 for what `(..., C, C)` has below the diagonal."""
  rows = lower.shape[-1]
  *batch, _, _ = lower.shape
  whole = 1 << (rows - 1).bit_length()
  missing = [(0, 0)] * len(batch) + [(0, whole - rows)] * 2
  lower = jnp.pad(lower, missing)
  inverse = jnp.ones((*batch, whole, 1, 1), lower.dtype)
  size = 1
  while size < whole:
    count = whole // (2 * size)
    grid = lower.reshape(*batch, count, 2 * size, count, 2 * size)
    below = jnp.diagonal(grid[..., size:, :, :size], axis1=-4, axis2=-2)
    pairs = inverse.reshape(*batch, count, 2, size, size)
    first, second = pairs[..., 0, :, :], pairs[..., 1, :, :]
    corner = -second @ jnp.moveaxis(below, -1, -3) @ first
    inverse = jnp.concatenate(
      [
        jnp.concatenate([first, jnp.zeros_like(first)], axis=-1),
        jnp.concatenate([corner, second], axis=-1),
      ],
      axis=-2,
    )
    size *= 2
  return inverse.reshape(*batch, whole, whole)[..., :rows, :rows]
