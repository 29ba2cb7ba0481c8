"""Tiles of attention: some queries, and the keys that any of them may see.

Those are the keys from the first query's window up to the last query's own. So
nothing is computed for keys that a window or causality hides. Tiles of one
shape that follow each other are a loop if they are many, so that the size of
the program does not grow with T.

Further letters: C queries and N keys of a tile.
"""

from collections.abc import Callable, Sequence
import itertools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

MOST_GROWING = 16  # tiles whose number of keys grows: each is compiled
UNROLLED = 8  # tiles of one shape; more are a loop


class Tile(NamedTuple):
  """Where a tile lies.

  Attributes:
    first: the place of its first query among the queries.
    queries: C.
    low: the place of its first key. Its last key is the last query's own.
    keys: N.
  """

  first: Any
  queries: int
  low: Any
  keys: int

  @property
  def back(self) -> int:
    """The number of keys before the first query's own."""
    return self.keys - self.queries

  def moved(self, tiles: Any) -> 'Tile':
    steps = tiles * self.queries
    return self._replace(first=self.first + steps, low=self.low + steps)

  def of_queries(self, arrays: Any, axis: int = 3) -> Any:
    """The tile's part of arrays that have all queries on an axis."""
    cut = lax.dynamic_slice_in_dim
    return jax.tree.map(
      lambda a: cut(a, self.first, self.queries, axis), arrays
    )

  def of_keys(self, arrays: Any, axis: int = 2) -> Any:
    """The tile's part of arrays that have all keys on an axis."""
    cut = lax.dynamic_slice_in_dim
    return jax.tree.map(lambda a: cut(a, self.low, self.keys, axis), arrays)

  def add_keys(self, totals: Any, parts: Any) -> Any:
    """Adds the tile's part to arrays `(G, B, S, ...)`."""
    parts = jax.tree.map(add, self.of_keys(totals), parts)
    put = lax.dynamic_update_slice_in_dim
    return jax.tree.map(lambda a, b: put(a, b, self.low, 2), totals, parts)

  def seen(self, run_BS: jax.Array, window: int) -> jax.Array:
    """`(B, 1, C, N)`, which keys each query sees: near ones of its run."""
    run_BN = self.of_keys(run_BS, 1)
    place_C = self.back + jnp.arange(self.queries)
    distance_CN = place_C[:, None] - jnp.arange(self.keys)[None]
    near_CN = (distance_CN >= 0) & (distance_CN <= window)
    same_BCN = run_BN[:, self.back :, None] == run_BN[:, None]
    return (near_CN[None] & same_BCN)[:, None]


def add(total: jax.Array, part: jax.Array) -> jax.Array:
  """In the type of the total."""
  return total + part.astype(total.dtype)


Stretch = tuple[Tile, int]  # the first of equal tiles, and their number


def cover(
  length: int, slots: int, window: int, size: int, floor: int
) -> list[Stretch]:
  """Tiles that cover all queries.

  Args:
    length: T.
    slots: M, the number of keys before the first query's own.
    window: the number of keys before its own that a query sees.
    size: the least number of queries of all tiles but the last.
    floor: the first key that any query may see.
  """
  size = max(size, -(-min(length, window) // MOST_GROWING))
  tiles = []
  for first in range(0, length, size):
    queries = min(size, length - first)
    low = max(slots + first - window, floor)
    tiles.append(Tile(first, queries, low, slots + first + queries - low))
  groups = itertools.groupby(tiles, lambda tile: (tile.queries, tile.keys))
  alike = [list(group) for _, group in groups]
  return [(group[0], len(group)) for group in alike]


def sweep(
  step: Callable[[Any, Tile], tuple[Any, Any]],
  carry: Any,
  stretches: Sequence[Stretch],
  axis: int = 3,
) -> tuple[Any, Any]:
  """Every tile in turn; the carry after them, and all results joined on T.

  Args:
    step: (carry, tile) to the carry after it and results of its queries.
    carry: before the first tile.
    stretches: tiles that cover all queries.
    axis: T of the results.
  """
  parts = []
  for tile, count in stretches:
    if count <= UNROLLED:
      for i in range(count):
        carry, part = step(carry, tile.moved(i))
        parts.append(part)
    else:
      carry, part = _loop(step, carry, tile, count, axis)
      parts.append(part)
  return carry, jax.tree.map(lambda *xs: jnp.concatenate(xs, axis), *parts)


def _loop(
  step: Callable[[Any, Tile], tuple[Any, Any]],
  carry: Any,
  tile: Tile,
  count: int,
  axis: int,
) -> tuple[Any, Any]:
  carry, part = lax.scan(
    lambda carry, i: step(carry, tile.moved(i)), carry, jnp.arange(count)
  )

  def join(x: jax.Array) -> jax.Array:
    """`(tiles, ..., C, ...)` to `(..., T, ...)`."""
    x = jnp.moveaxis(x, 0, axis)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

  return carry, jax.tree.map(join, part)
