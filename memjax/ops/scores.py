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
    shared: `r`, `(g, R, P)`, are the keys of the score by distance, distances
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
  p: jax.Array, r_gRP: jax.Array, back: int, keys: int
) -> jax.Array:
  """p · r of the distance between query and key, `(G, B, J, C, N)`."""
  joint, batch, heads, queries, width = p.shape
  distances = min(r_gRP.shape[1], back + queries)
  r_gRP = r_gRP[:, r_gRP.shape[1] - distances :]
  rows = jnp.swapaxes(p, 1, 2).reshape(r_gRP.shape[0], -1, width)
  scores = lax.dot_general(
    *(rows, r_gRP, (((2,), (2,)), ((0,), (0,)))),
    preferred_element_type=jnp.float32,
  ).reshape(joint, heads, batch, queries, -1)
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


def product(rows: jax.Array, keys: jax.Array) -> jax.Array:
  """Each row with each key: `(G, B, J, C, X)`, `(G, B, N, X)` to `(..., C, N)`.

  Products here contract the axes as they lie in memory: on a CPU that is faster
  than to transpose a factor first, for tiles of 64 rows.
  """
  return _unfold(_dot(_fold(rows), keys, 3, 3), rows)


def average(weights: jax.Array, values: jax.Array) -> jax.Array:
  """Weighted sums: `(G, B, J, C, N)`, `(G, B, N, X)` to `(..., C, X)`."""
  return _unfold(_dot(_fold(weights), values, 3, 2), weights)


def over_queries(weights: jax.Array, rows: jax.Array) -> jax.Array:
  """Sums of rows over all queries of a key head, `(G, B, N, X)`."""
  return _dot(_fold(weights), _fold(rows), 2, 2)


def row_sums(x: jax.Array) -> jax.Array:
  """Sums over the last axis, which stays: `(..., X)` to `(..., 1)`.

  As a product with ones: XLA on a CPU sums a product of two arrays ten times
  slower.
  """
  ones = jnp.ones((x.shape[-1], 1), x.dtype)
  return lax.dot_general(
    *(x.reshape(-1, len(ones)), ones, (((1,), (0,)), ((), ()))),
    precision=lax.Precision.HIGHEST,
  ).reshape(*x.shape[:-1], 1)


def _fold(x: jax.Array) -> jax.Array:
  """`(G, B, J, C, X)` to `(G, B, J C, X)`."""
  return x.reshape(*x.shape[:2], -1, x.shape[4])


def _unfold(y: jax.Array, x: jax.Array) -> jax.Array:
  return y.reshape(*x.shape[:4], -1)


def _dot(a: jax.Array, b: jax.Array, i: int, j: int) -> jax.Array:
  """Products over an axis of each, for each key head and row of a batch."""
  axes = ((i,), (j,)), ((0, 1), (0, 1))
  return lax.dot_general(a, b, axes, preferred_element_type=jnp.float32)
