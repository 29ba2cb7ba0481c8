"""What replaces a leaf of the carry: nothing, another row's, or noise."""

import functools

import jax
import jax.numpy as jnp

from memjax.analysis.segment_boundaries import is_float
from memjax.models.base import Memory

ABLATIONS = ('removed', 'shuffled', 'noised')


@functools.partial(jax.jit, static_argnums=0)
def ablated(
  model: Memory, leaves_N: list[jax.Array], seed: jax.Array
) -> list[tuple[jax.Array, ...]]:
  """What replaces each leaf, `(N, B, ...)`, in the order of `ABLATIONS`."""
  key = jax.random.fold_in(jax.random.key(seed[0]), seed[1])
  initial = jax.tree.leaves(model.initial_carry(leaves_N[0].shape[1]))
  found: list[tuple[jax.Array, ...]] = []
  for i, (leaf, first) in enumerate(zip(leaves_N, initial, strict=True)):
    noised = leaf
    if is_float(leaf):
      noise = jax.random.normal(jax.random.fold_in(key, i), leaf.shape[1:])
      noised += noise.astype(leaf.dtype)[None] * leaf.std(axis=1, keepdims=True)
    first = jnp.broadcast_to(first, leaf.shape)
    found.append((first, jnp.roll(leaf, 1, axis=1), noised))
  return found
