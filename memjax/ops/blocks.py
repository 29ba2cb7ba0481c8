"""A function of some of N rows, computed for the blocks that hold them.

    in_blocks(wanted_N, f, nothing, *arrays)

calls f on blocks of 32 rows, the wanted ones first; a block without any is
`nothing`. So the cost follows the number of wanted rows, although shapes are
static. A gradient computes f twice. Under `vmap` both branches of a condition
are computed: it saves nothing there.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BLOCK = 32


def in_blocks(
  wanted_N: jax.Array,
  function: Callable[..., Any],
  nothing: Any,
  *arrays: jax.Array,
) -> Any:
  """The function's rows, `(N, ...)`; rows that are not wanted hold anything.

  Args:
    wanted_N: bool.
    function: of arrays `(32, ...)` to a tree of arrays `(32, ...)`.
    nothing: what it returns for a block without wanted rows.
    *arrays: `(N, ...)`, what it reads.
  """
  size = len(wanted_N)
  order_N = jnp.argsort(~wanted_N, stable=True)
  order_N = jnp.pad(order_N, (0, -size % BLOCK), constant_values=size)

  def block(rows: jax.Array) -> Any:
    parts = [a.at[rows].get(mode='clip') for a in arrays]
    here = wanted_N.at[rows].get(mode='fill', fill_value=False).any()
    return jax.lax.cond(here, function, lambda *_: nothing, *parts)

  # The backward pass computes a block again. If what f makes were kept, all
  # blocks together would be an array of all rows.
  blocks = order_N.reshape(-1, BLOCK)
  found = jax.lax.map(jax.checkpoint(block), blocks)
  return jax.tree.map(
    lambda y: (
      jnp.zeros((size, *y.shape[2:]), y.dtype)
      .at[order_N]
      .set(y.reshape(-1, *y.shape[2:]), mode='drop')
    ),
    found,
  )


def pick(y_NV: jax.Array, id_N: jax.Array) -> tuple[jax.Array, jax.Array]:
  """y at these ids, and whether it is the largest; of equal ones, the first."""
  id_N1 = jnp.clip(id_N, 0, y_NV.shape[1] - 1)[:, None]
  picked_N1 = jnp.take_along_axis(y_NV, id_N1, axis=1)
  number_NV = jax.lax.broadcasted_iota(jnp.int32, y_NV.shape, 1)
  largest_NV = jnp.where(number_NV < id_N1, y_NV < picked_N1, y_NV <= picked_N1)
  return picked_N1[:, 0], largest_NV.all(axis=1)
