"""Softmax attention by tiles, with a backward pass that keeps no weights.

The forward pass keeps queries, keys, values, outputs and the logarithm of each
softmax's sum: memory linear in time. The backward pass makes the weights of
each tile again (Dao et al. 2022, https://arxiv.org/abs/2205.14135). With the
weights A, the gradient D of the outputs y, and w the row sums of D * y:

    dV = A' D,   dS = A * (D V' - w),   dQ = dS K,   dK = dS' Q

A sink, a score that belongs to no key, is part of each sum, and its weight has
the gradient -w. The other scores are made in `ops/scores.py`.

Letters are those of `ops/scores.py`; V width of the values.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from memjax.ops.scores import (
  Arrays,
  Terms,
  average,
  over_queries,
  product,
  row_sums,
  with_terms,
)
from memjax.ops.tiles import Stretch, Tile, add, cover, sweep

UNSEEN = -1e30  # finite, or a row without keys would turn into NaN


class Reach(NamedTuple):
  """What a call reads; known when it is compiled.

  Attributes:
    window: the number of keys before its own that a query sees.
    size: the least number of queries of a tile.
    skip: whether not to read a memory that no query sees.
    rows: the number of rows of the batch that are read at once; it divides B.
  """

  window: int
  size: int
  skip: bool
  rows: int


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
  reach: Reach,
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  terms: Terms,
  run_BS: jax.Array,
) -> jax.Array:
  """The average of the values that each query sees, `(G, B, J, T, V)`.

  Args:
    reach: window and tiles.
    q: `(G, B, J, T, K)` queries.
    k: `(G, B, S, K)` keys, of which the last T are the queries' own.
    v: `(G, B, S, V)` values of the same.
    terms: arrays of further scores.
    run_BS: equal numbers see each other.
  """
  return _forward(reach, q, k, v, terms, run_BS)[0]


def _forward(reach: Reach, *inputs: Any) -> tuple[jax.Array, Any]:
  (y, log_sum), _ = _read(reach, _outputs, inputs)
  return y, (*inputs, y, log_sum)


def _backward(reach: Reach, kept: Any, dy: jax.Array) -> Any:
  (*d, d_by_query, d_by_key), sums = _read(reach, _gradients, (*kept, dy))
  shared = kept[3].shared
  d_shared = {name: x.astype(shared[name].dtype) for name, x in sums.items()}
  return *d, Terms(d_by_query, d_by_key, d_shared), None


attend.defvjp(_forward, _backward)


def _read(reach: Reach, function: Callable[..., Any], arrays: Any) -> Any:
  """What `_outputs` or `_gradients` gives, a few rows of the batch at a time.

  Then the arrays of a tile stay in a core's cache. Returns arrays of all rows,
  `(., B, ...)`, and sums over the rows.
  """
  q, k, v, terms, run_BS, *rest = arrays
  of_rows = q, k, v, terms.by_query, terms.by_key, run_BS[None], rest

  def some(first: Any) -> Any:
    q, k, v, by_query, by_key, run, rest = jax.tree.map(
      lambda x: lax.dynamic_slice_in_dim(x, first, reach.rows, 1), of_rows
    )
    terms_now = Terms(by_query, by_key, terms.shared)
    return _read_some(reach, function, (q, k, v, terms_now, run[0], *rest))

  batch = q.shape[1]
  if reach.rows == batch:
    return _read_some(reach, function, arrays)

  def step(i: int | jax.Array, sofar: Any) -> Any:
    (whole, sums), first = sofar, i * reach.rows
    parts, more = some(first)
    put = lax.dynamic_update_slice_in_dim
    whole = jax.tree.map(lambda a, b: put(a, b, first, 1), whole, parts)
    return whole, jax.tree.map(jnp.add, sums, more)

  parts, sums = jax.eval_shape(some, 0)
  empty = jax.tree.map(
    lambda x: jnp.zeros((x.shape[0], batch, *x.shape[2:]), x.dtype), parts
  )
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), sums)
  return lax.fori_loop(0, batch // reach.rows, step, (empty, zeros))


def _read_some(reach: Reach, function: Callable[..., Any], arrays: Any) -> Any:
  """function(window, stretches, *arrays); the tiles may leave out the memory.

  Both halves of the gradient choose for themselves. A choice that jax
  differentiated would keep what either way needs.
  """
  q, k, _, _, run_BS, *_ = arrays
  length, slots = q.shape[3], k.shape[2] - q.shape[3]

  def way(floor: int) -> Callable[..., Any]:
    stretches = cover(length, slots, reach.window, reach.size, floor)
    return functools.partial(function, reach.window, stretches)

  if not reach.skip:
    return way(0)(*arrays)
  sees = _any_sees(run_BS[:, slots - 1], run_BS[:, slots])
  return lax.cond(sees, way(0), way(slots), *arrays)


@jax.custom_batching.custom_vmap
def _any_sees(last: jax.Array, first: jax.Array) -> jax.Array:
  """Whether a row's first query sees the memory's last slot."""
  return jnp.any(last == first)


@_any_sees.def_vmap
def _any_sees_of_all(
  size: int, batched: Any, last: jax.Array, first: jax.Array
) -> tuple[jax.Array, bool]:
  # One answer for all replicas: with one for each, both ways would be computed.
  del size, batched
  return _any_sees(last, first), False


def _outputs(
  window: int,
  stretches: list[Stretch],
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  terms: Terms,
  run_BS: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array], Arrays]:
  """Outputs, and the logarithms of the softmaxes' sums, `(G, B, J, T, 1)`."""
  sink = terms.shared.get('sink')

  def one(nothing: None, tile: Tile) -> Any:
    scores = product(tile.of_queries(q), tile.of_keys(k))
    scores = with_terms(scores, terms.within(tile), tile.back)
    scores = jnp.where(tile.seen(run_BS, window), scores, UNSEEN)
    top = scores.max(-1, keepdims=True)
    if sink is not None:
      top = jnp.maximum(top, sink)
    weights = jnp.exp(scores - top)
    total = weights.sum(-1, keepdims=True)
    if sink is not None:
      total += jnp.exp(sink - top)
    y = average(weights.astype(v.dtype), tile.of_keys(v)) / total
    return nothing, (y.astype(v.dtype), top + jnp.log(total))

  return sweep(one, None, stretches)[1], {}


def _gradients(
  window: int,
  stretches: list[Stretch],
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  terms: Terms,
  run_BS: jax.Array,
  y: jax.Array,
  log_sum: jax.Array,
  dy: jax.Array,
) -> tuple[tuple[Any, ...], Arrays]:
  """Those of q, k, v and the terms by query and by key; sums of the shared."""
  inner = row_sums(dy.astype(jnp.float32) * y.astype(jnp.float32))

  def one(sums: Any, tile: Tile) -> Any:
    q_C, dy_C, log_sum_C, inner_C = tile.of_queries((q, dy, log_sum, inner))
    scores, pull = jax.vjp(
      lambda scores, terms: with_terms(scores, terms, tile.back),
      product(q_C, tile.of_keys(k)),
      terms.within(tile),
    )
    seen = tile.seen(run_BS, window)
    weights = jnp.where(seen, jnp.exp(scores - log_sum_C), 0.0)
    d_weights = product(dy_C, tile.of_keys(v))
    d_scores, d_terms = pull(weights * (d_weights - inner_C))
    d_scores = d_scores.astype(q.dtype)
    dq_C = average(d_scores, tile.of_keys(k)).astype(q.dtype)
    dk, dv, by_key, shared = sums
    sums = (
      tile.add_keys(dk, over_queries(d_scores, q_C)),
      tile.add_keys(dv, over_queries(weights.astype(dy.dtype), dy_C)),
      tile.add_keys(by_key, d_terms.by_key),
      jax.tree.map(add, shared, d_terms.shared),
    )
    return sums, (dq_C, d_terms.by_query)

  of = k, v, terms.by_key
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, jnp.float32), (*of, terms.shared)
  )
  (*sums, d_shared), (dq, d_by_query) = sweep(one, zeros, stretches)
  if 'sink' in terms.shared:
    pulled = jnp.exp(terms.shared['sink'] - log_sum) * inner
    d_shared['sink'] -= pulled.sum((1, 3), keepdims=True)
  dk, dv, d_by_key = jax.tree.map(
    lambda total, x: total.astype(x.dtype), tuple(sums), of
  )
  return (dq, dk, dv, d_by_query, d_by_key), d_shared
