"""Products with a kernel that is a matrix or block-diagonal.

A kernel of three axes is block-diagonal: `(H, F / H, G / H)`, for H heads whose
columns lie side by side.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp


def product(x: jax.Array, w: jax.Array, out: Any = None) -> jax.Array:
  """x w in the type of w, summed and returned in `out`, or else x's type."""
  out, x = out or x.dtype, x.astype(w.dtype)
  if w.ndim == 2:
    return jnp.matmul(x, w, preferred_element_type=out)
  heads = x.reshape(*x.shape[:-1], len(w), -1)
  y = jnp.einsum('...hf,hfg->...hg', heads, w, preferred_element_type=out)
  return y.reshape(*x.shape[:-1], -1)


def columns(w: jax.Array) -> int:
  """G, the width of a product with the kernel."""
  return w.size // w.shape[-2]


def transposed(w: jax.Array) -> jax.Array:
  """The kernel whose product leads back."""
  # Without the barrier XLA folds the transposition into each of the products;
  # on a CPU that makes them slower than one transposition ahead of them all.
  return lax.optimization_barrier(jnp.swapaxes(w, -1, -2))


def outer(
  x_TBF: jax.Array, d_TBG: jax.Array, w: jax.Array, dtype: Any
) -> jax.Array:
  """The sum of x' d over steps and rows, in d's type and the form of w."""
  x_FTB = lax.optimization_barrier(x_TBF.astype(dtype).transpose(2, 0, 1))
  d, out = d_TBG.astype(dtype), d_TBG.dtype
  if w.ndim == 2:
    return jnp.einsum('ftb,tbg->fg', x_FTB, d, preferred_element_type=out)
  x_HFTB = x_FTB.reshape(*w.shape[:2], *x_FTB.shape[1:])
  d = d.reshape(*d.shape[:2], w.shape[0], w.shape[2])
  return jnp.einsum('hftb,tbhg->hfg', x_HFTB, d, preferred_element_type=out)
