"""Random draws that several tasks share."""

import jax
import jax.numpy as jnp

from memjax.types import RowKey


def between(key: RowKey, lowest: int, highest: int) -> jax.Array:
  """A uniform integer of [lowest, highest]."""
  return jax.random.randint(key, (), lowest, highest + 1)


def distinct(key: RowKey, count: int, size: int) -> jax.Array:
  """`(count,)` different integers of [0, size), in uniformly random order.

  The first `count` swaps of a Fisher-Yates shuffle of 0, 1, ..., size - 1,
  replayed without the array: swap i exchanges places i and p_i >= i. Sorting
  all `size` numbers, the usual way, is 100 times slower on a CPU.
  """
  i = jnp.arange(count)
  p = i + jax.random.randint(key, (count,), 0, size - i)

  def last_swap(place: jax.Array) -> jax.Array:
    """The last swap j < i with p_j = place_i; -1 if there is none."""
    earlier = (i[None] < i[:, None]) & (p[None] == place[:, None])
    return jnp.where(earlier, i[None], -1).max(axis=1)

  # The content of place i before swap i, which swap i carries to p_i: either i
  # itself, or what the last swap to place i carried there. Each iteration
  # halves the chains.
  carried = jnp.where(last_swap(i) < 0, i, last_swap(i))
  for _ in range(count.bit_length()):
    carried = carried[carried]
  return jnp.where(last_swap(p) < 0, p, carried[last_swap(p)])


def pick(key: RowKey, weight_N: jax.Array) -> jax.Array:
  """An index with probability proportional to its weight, never of weight 0.

  A part of 32 indices is picked first: sums over all of them are slow on a CPU.
  """
  parts_PN = jnp.pad(weight_N, (0, -len(weight_N) % 32)).reshape(-1, 32)
  sums_P = parts_PN.sum(axis=1)
  chosen = (1 - jax.random.uniform(key)) * sums_P.sum()

  def last(weight_N: jax.Array, before_N: jax.Array) -> jax.Array:
    fits_N = (weight_N > 0) & (before_N < chosen)
    return jnp.where(fits_N, jnp.arange(len(weight_N)), 0).max()

  before_P = jnp.cumsum(sums_P) - sums_P
  part = last(sums_P, before_P)
  inside_N = parts_PN[part]
  before_N = before_P[part] + jnp.cumsum(inside_N) - inside_N
  return 32 * part + last(inside_N, before_N)
