"""What is done to a model or to its cache before it reads on.

A cache holds keys and values of the last M tokens, the newest in the last slot;
the newest has age 0.
"""

from typing import Any

import jax
import jax.numpy as jnp

from memjax.models.attention.transformer import Cache
from memjax.types import Params

BLOCK = 32  # weights that share a scale, along a kernel's inputs


def each_cache(carry: Any, change: Any) -> Any:
  """The carry with every layer's cache changed."""
  return jax.tree.map(change, carry, is_leaf=lambda x: isinstance(x, Cache))


def cut(carry: Any, newest: int) -> Any:
  """Only the newest entries are left."""
  return each_cache(
    carry, lambda c: c._replace(count_B=jnp.minimum(c.count_B, newest))
  )


def keep_first(carry: Any, first: int, newest: int) -> Any:
  """The oldest entries stand right before the newest; the others are gone."""

  def change(c: Cache) -> Cache:
    slots, filled = c.k_BMGK.shape[1], int(c.count_B.min())

    def moved(x: jax.Array) -> jax.Array:
      oldest = x[:, slots - filled : slots - filled + first]
      return x.at[:, slots - newest - first : slots - newest].set(oldest)

    count_B = jnp.full_like(c.count_B, first + newest)
    return Cache(moved(c.k_BMGK), moved(c.v_BMGK), count_B)

  return each_cache(carry, change)


def swap(carry: Any, low: int, high: int) -> Any:
  """Entries of these ages, the first included, are those of another row."""

  def change(c: Cache) -> Cache:
    slots = c.k_BMGK.shape[1]

    def moved(x: jax.Array) -> jax.Array:
      band = x[:, slots - high : slots - low]
      return x.at[:, slots - high : slots - low].set(jnp.roll(band, 1, axis=0))

    return c._replace(k_BMGK=moved(c.k_BMGK), v_BMGK=moved(c.v_BMGK))

  return each_cache(carry, change)


def quantise_cache(carry: Any, bits: int, low: int, high: int) -> Any:
  """Entries of these ages have this number of bits, a scale for each vector."""

  def change(c: Cache) -> Cache:
    slots = c.k_BMGK.shape[1]

    def rounded(x: jax.Array) -> jax.Array:
      band = x[:, slots - high : slots - low]
      return x.at[:, slots - high : slots - low].set(quantise(band, bits, -1))

    return c._replace(k_BMGK=rounded(c.k_BMGK), v_BMGK=rounded(c.v_BMGK))

  return each_cache(carry, change)


def quantise_weights(params: Params, bits: int, block: int = 0) -> Params:
  """Every kernel has this number of bits, and the table of tokens 8.

  Args:
    params: of the model.
    bits: of a weight.
    block: weights of a column that share a scale; 0: the whole column. The
      table has a scale for each row.
  """

  def change(path: Any, w: jax.Array) -> jax.Array:
    if w.ndim < 2:
      return w
    if path[-1].key == 'embedding':
      return quantise(w, 8, -1)
    inputs, outputs = w.shape
    size = block if block and inputs % block == 0 else inputs
    parts = w.reshape(inputs // size, size, outputs)
    return quantise(parts, bits, 1).reshape(w.shape)

  return jax.tree_util.tree_map_with_path(change, params)


def quantise(x: jax.Array, bits: int, axis: int) -> jax.Array:
  """Symmetric rounding to 2^bits - 1 values, by the largest on an axis."""
  most = 2 ** (bits - 1) - 1
  scale = jnp.abs(x).max(axis, keepdims=True) / most
  return jnp.round(x / jnp.maximum(scale, 1e-12)) * scale
