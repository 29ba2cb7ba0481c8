"""Rotations of queries and keys, so that products depend on distances.

Channels i and R/2 + i of the first R are the two parts of a complex number,
which the place p turns by p / base^(2i / R).

Paper: Su et al. 2021, https://arxiv.org/abs/2104.09864.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def rotate(
  x_BSHK: Float[Array, 'B S H K'], first: int, channels: int, base: float
) -> Float[Array, 'B S H K']:
  """Turns the first `channels` of each vector by its place.

  Only differences of places matter to products, so places may be counted from
  anywhere: from the first slot of a memory, they stay small and exact.

  Args:
    x_BSHK: vectors.
    first: the place of the first vector.
    channels: R, even.
    base: the slowest rotation takes nearly 2 pi base steps.
  """
  place_S = first + jnp.arange(x_BSHK.shape[1], dtype=jnp.float32)
  rate = base ** (-jnp.arange(0, channels, 2, dtype=jnp.float32) / channels)
  angle_S1R = (place_S[:, None] * rate[None])[:, None]
  cos, sin = jnp.cos(angle_S1R)[None], jnp.sin(angle_S1R)[None]
  turned, rest = x_BSHK[..., :channels], x_BSHK[..., channels:]
  re, im = jnp.split(turned.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([re * cos - im * sin, re * sin + im * cos], -1)
  return jnp.concatenate([turned.astype(x_BSHK.dtype), rest], axis=-1)
