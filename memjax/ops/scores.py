"""Scores of queries and keys: products, and whatever is added to them.

A tile's scores are `(G, B, J, C, N)` float32. A key or query that is rotated or
normalised is so before it comes here. A further score for each query and key,
such as a bias, is an array in `Terms` and a summand of `with_terms`: its
gradient follows without a change elsewhere.

Further letters: G heads of the keys, J heads of queries for each of them, C
queries and N keys of a tile, P width of the second score, R distances.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from memjax.ops.tiles import Tile

Arrays = dict[str, jax.Array]


class Terms(NamedTuple):
  """Arrays of the scores beside q · k; without its arrays a score is left out.

  Attributes:
    by_query: time is axis 3. `p`, `(G, B, J, T, P)`, are the queries of the
      score by distance; `decay`, `(G, B, J, T, 1)`, sums of log-decays up to
      the query.
    by_key: time is axis 2. `decay`, `(G, B, S, J)`, are those up to the key.
    shared: `r`, `(g, P, R)`, are the keys of the score by distance, distances
      falling to 0; g is 1 or G J. `sink`, `(G, 1, J, 1, 1)`, is a score that
      belongs to no key.
  """

  by_query: Arrays
  by_key: Arrays
  shared: Arrays

  def within(self, tile: Tile) -> 'Terms':
    by_query = tile.of_queries(self.by_query)
    return Terms(by_query, tile.of_keys(self.by_key), self.shared)


def with_terms(scores: jax.Array, terms: Terms, back: int) -> jax.Array:
  """A tile's scores with all further ones added to them.

  Args:
    scores: `(G, B, J, C, N)`.
    terms: the arrays of the tile.
    back: the number of keys before the first query's own.
  """
  if 'p' in terms.by_query:
    scores += by_distance(
      terms.by_query['p'], terms.shared['r'], back, scores.shape[4]
    )
  if 'decay' in terms.by_query:
    of_key = jnp.swapaxes(terms.by_key['decay'], 2, 3)[:, :, :, None]
    scores += terms.by_query['decay'] - of_key
  return scores


def by_distance(
  p: jax.Array, r_gPR: jax.Array, back: int, keys: int
) -> jax.Array:
  """p · r of the distance between query and key, `(G, B, J, C, N)`."""
  joint, batch, heads, queries, width = p.shape
  distances = min(r_gPR.shape[2], back + queries)
  r_gPR = r_gPR[:, :, r_gPR.shape[2] - distances :]
  rows = jnp.swapaxes(p, 1, 2).reshape(r_gPR.shape[0], -1, width)
  scores = _dot(rows, r_gPR, 1).reshape(joint, heads, batch, queries, -1)
  return skew(jnp.swapaxes(scores, 1, 2), back, keys)


def skew(scores: jax.Array, back: int, keys: int) -> jax.Array:
  """Scores by distance to scores by key, without a gather.

  Args:
    scores: `(..., C, R)`, distances falling from R - 1 to 0. Query c stands at
      key back + c, so its row belongs c places further right than row 0. Rows
      of one element more than there are keys, laid end to end and cut again
      at the number of keys, move by just that.
    back: keys before the first query.
    keys: all of them.

  Returns:
    `(..., C, keys)`; entries outside a query's distances are not scores.
  """
  *lead, queries, distances = scores.shape
  before = back + 1 - distances
  left = max(before, 0)
  right = keys + 1 - left - distances
  rows = jnp.pad(scores, [(0, 0)] * (len(lead) + 1) + [(left, right)])
  line = rows.reshape(*lead, -1)[..., left - before :][..., : queries * keys]
  return line.reshape(*lead, queries, keys)


def product(rows: jax.Array, matrix: jax.Array) -> jax.Array:
  """`(G, B, J, C, X)` times `(G, B, X, Y)`, `(G, B, J, C, Y)` float32."""
  *lead, heads, queries, width = rows.shape
  flat = rows.reshape(*lead, heads * queries, width)
  return _dot(flat, matrix, 2).reshape(*lead, heads, queries, -1)


def over_queries(x: jax.Array, rows: jax.Array) -> jax.Array:
  """Sums of x' rows over heads and queries, `(G, B, X, Y)` float32."""
  x, rows = (a.reshape(*a.shape[:2], -1, a.shape[4]) for a in (x, rows))
  return _dot(turned(x), rows, 2)


def turned(x: jax.Array) -> jax.Array:
  """The transposed matrices, written out.

  A CPU multiplies rows by columns fastest if both factors lie in memory in that
  order. Without the barrier XLA would fold the transposition into each product.
  """
  return lax.optimization_barrier(jnp.swapaxes(x, -1, -2))


def _dot(a: jax.Array, b: jax.Array, lead: int) -> jax.Array:
  axes = tuple(range(lead))
  return lax.dot_general(
    a,
    b,
    (((a.ndim - 1,), (b.ndim - 2,)), (axes, axes)),
    preferred_element_type=jnp.float32,
  )
