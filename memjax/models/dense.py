"""The linear map of all models: `nn.Dense` with products of two matrices."""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.ops.products import flat_product


def flat_dot_general(
  x: jax.Array,
  w: jax.Array,
  dimension_numbers: Any,
  precision: Any = None,
  preferred_element_type: Any = None,
) -> jax.Array:
  """`lax.dot_general` for `(..., D)` and `(D, F)`, as `nn.Dense` calls it."""
  del dimension_numbers
  return flat_product(x, w, precision, preferred_element_type)


def rows_product(h: jax.Array, table_VD: jax.Array) -> jax.Array:
  """h times each row of a table, `(..., D)` to `(..., V)` float32."""
  return jax.lax.dot_general(
    h,
    table_VD.astype(h.dtype),
    (((h.ndim - 1,), (1,)), ((), ())),
    preferred_element_type=jnp.float32,
  )


# y = x W + b, in the type of the factors or in float32 whatever they are.
Dense = functools.partial(nn.Dense, dot_general=flat_dot_general)
ExactDense = functools.partial(
  nn.Dense,
  dot_general=functools.partial(
    flat_dot_general, preferred_element_type=jnp.float32
  ),
)
