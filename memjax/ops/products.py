"""Products with a kernel that is a matrix or block-diagonal.

A kernel of three axes is block-diagonal: `(H, F / H, G / H)`, for H heads whose
columns lie side by side.
"""

import functools
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
  return head_product(heads, w, out).reshape(*x.shape[:-1], -1)


def head_product(x: jax.Array, w_HFG: jax.Array, out: Any = None) -> jax.Array:
  """x w of each head; x is `(..., H, F)`, the result `(..., H, G)`.

  Left to itself XLA puts the rows last in the result, and on a CPU whatever
  reads it, or the gradient, does so number by number.
  """
  x_HNF = jnp.moveaxis(x, -2, 0).reshape(len(w_HFG), -1, x.shape[-1])
  x_HNF = lax.optimization_barrier(x_HNF)
  y_HNG = jnp.einsum('hnf,hfg->hng', x_HNF, w_HFG, preferred_element_type=out)
  y = lax.optimization_barrier(y_HNG).reshape(-1, *x.shape[:-2], w_HFG.shape[2])
  return jnp.moveaxis(y, 0, -2)


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
  x, d, out = x_TBF.astype(dtype), d_TBG.astype(dtype), d_TBG.dtype
  if w.ndim == 2:
    both = (((0, 1), (0, 1)), ((), ()))
    return lax.dot_general(x, d, both, preferred_element_type=out)
  x_FTB = lax.optimization_barrier(x.transpose(2, 0, 1))
  x_HFTB = x_FTB.reshape(*w.shape[:2], *x_FTB.shape[1:])
  d = d.reshape(*d.shape[:2], w.shape[0], w.shape[2])
  return jnp.einsum('hftb,tbhg->hfg', x_HFTB, d, preferred_element_type=out)


def flat_product(
  x: jax.Array, w_DF: jax.Array, precision: Any = None, out: Any = None
) -> jax.Array:
  """x w as one product of two matrices; x is `(..., D)`.

  A CPU takes the gradient of a kernel from an x of three axes at half the
  speed, and from a left factor wider than the right one at two thirds of it. So
  x is flattened, and the narrower of x and the outputs is on the left. It is
  transposed first if the rows of the wider one collide in the cache.

  Args:
    x: rows.
    w_DF: the kernel, in the type of x.
    precision: of `lax.dot_general`.
    out: the result's type; None: that of x.
  """
  y = _flat_product(x.reshape(-1, x.shape[-1]), w_DF, precision, out)
  return y.reshape(*x.shape[:-1], -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _flat_product(
  x_ND: jax.Array, w_DF: jax.Array, precision: Any, out: Any
) -> jax.Array:
  return _dot(x_ND, w_DF, (1, 0), precision, out)


def _flat_forward(
  x_ND: jax.Array, w_DF: jax.Array, precision: Any, out: Any
) -> tuple[jax.Array, Any]:
  # The product itself, so that a policy of `jax.checkpoint` sees it.
  return _dot(x_ND, w_DF, (1, 0), precision, out), (x_ND, w_DF)


def _flat_backward(
  precision: Any, out: Any, kept: Any, dy_NF: jax.Array
) -> tuple[jax.Array, jax.Array]:
  del out
  x_ND, w_DF = kept
  dy_NF = dy_NF.astype(x_ND.dtype)
  dx_ND = _dot(dy_NF, w_DF, (1, 1), precision, x_ND.dtype)
  if w_DF.shape[0] <= w_DF.shape[1]:
    return dx_ND, _sum_of_outer(x_ND, dy_NF, precision, w_DF.dtype)
  dw_FD = _sum_of_outer(dy_NF, x_ND, precision, w_DF.dtype)
  return dx_ND, lax.optimization_barrier(dw_FD).T


_flat_product.defvjp(_flat_forward, _flat_backward)


def _sum_of_outer(
  narrow: jax.Array, wide: jax.Array, precision: Any, out: Any
) -> jax.Array:
  """The sum over rows of narrow' wide."""
  if not _strides_collide(wide):
    return _dot(narrow, wide, (0, 0), precision, out)
  turned = lax.optimization_barrier(narrow.T)
  return _dot(turned, wide, (1, 0), precision, out)


def _strides_collide(wide: jax.Array) -> bool:
  """Whether equal columns of neighbouring rows share few sets of a cache.

  A product that reads a matrix by columns then takes up to twice as long.
  """
  return wide.shape[-1] * wide.dtype.itemsize % 2048 == 0


def _dot(
  a: jax.Array, b: jax.Array, axes: tuple[int, int], precision: Any, out: Any
) -> jax.Array:
  """The sum over one axis of each."""
  contract = ((axes[:1], axes[1:]), ((), ()))
  return lax.dot_general(
    a, b, contract, precision=precision, preferred_element_type=out
  )
