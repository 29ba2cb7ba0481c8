"""Attention to the few nearest of many earlier steps.

Letters as in `attention.py`: G heads of the keys, J heads of queries for each,
C the nearest keys that a query reads.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

CHUNK = 64  # queries whose scores are in memory at once


def nearest_attention(
  q_BTHK: Float[Array, 'B T H K'],
  k_BSGK: Float[Array, 'B S G K'],
  v_BSGK: Float[Array, 'B S G K'],
  run_BS: Int[Array, 'B S'],
  near: int,
  far: int,
  count: int,
  chunk: int = CHUNK,
) -> tuple[
  Float[Array, 'B T H K'], Float[Array, 'B T H C'], Int[Array, 'B T H C']
]:
  """Softmax attention to the nearest keys behind a window.

  Query t sees the keys of its run at distances near < d <= near + far. It reads
  the `count` of them with the largest products. A query that sees none gets 0.
  No gradient reaches keys and values. Memory grows with chunk (far + chunk).

  Args:
    q_BTHK: queries, scaled.
    k_BSGK: keys of S - T slots, near + far at least, then of the segment.
    v_BSGK: values of the same.
    run_BS: from `run_ids`.
    near: the distance that is too near.
    far: the number of keys behind it.
    count: C, at most `far`.
    chunk: queries read at once.

  Returns:
    The averages; the weights of the keys that were read, with a sum of 1 or 0;
    and their distances.
  """
  batch, length, heads, width = q_BTHK.shape
  shared, slots = k_BSGK.shape[2], k_BSGK.shape[1] - length
  chunk = min(chunk, length)
  pieces, first = -(-length // chunk), slots - near - far
  behind = ((0, 0), (0, pieces * chunk - length), (0, 0), (0, 0))
  q = jnp.pad(q_BTHK, behind).reshape(
    batch, pieces, chunk, shared, heads // shared, width
  )
  k, v = (
    jnp.pad(jax.lax.stop_gradient(x)[:, first:], behind).swapaxes(1, 2)
    for x in (k_BSGK, v_BSGK)
  )
  run = jnp.pad(run_BS, behind[:2])

  def read(piece: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    begin, cut = piece * chunk, jax.lax.dynamic_slice_in_dim
    k_BGNK, v_BGNK = (cut(x, begin, far + chunk - 1, axis=2) for x in (k, v))
    run_BN = cut(run, first + begin, far + chunk - 1, axis=1)
    run_BT = cut(run, slots + begin, chunk, axis=1)
    keys = k_BGNK, v_BGNK, run_BN
    return _read(q[:, piece], *keys, run_BT, near, far, count)

  y, weights, distance = (
    x.swapaxes(0, 1).reshape(batch, pieces * chunk, heads, -1)[:, :length]
    for x in jax.lax.map(read, jnp.arange(pieces))
  )
  return y.astype(q_BTHK.dtype), weights, distance


def _read(
  q: Float[Array, 'B T G J K'],
  k_BGNK: Float[Array, 'B G N K'],
  v_BGNK: Float[Array, 'B G N K'],
  run_BN: Int[Array, 'B N'],
  run_BT: Int[Array, 'B T'],
  near: int,
  far: int,
  count: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """One piece: averages, weights and distances, each `(B, T, G, J, ...)`."""
  length, seen = q.shape[1], k_BGNK.shape[2]
  place_T1 = jnp.arange(length)[:, None] + near + far
  distance_TN = place_T1 - jnp.arange(seen)[None]
  within_TN = (distance_TN > near) & (distance_TN <= near + far)
  sees_BTN = within_TN[None] & (run_BT[:, :, None] == run_BN[:, None])
  scores = jnp.einsum(
    'btgjk,bgnk->btgjn', q, k_BGNK, preferred_element_type=jnp.float32
  )
  scores = jnp.where(sees_BTN[:, :, None, None], scores, -jnp.inf)
  best, index = jax.lax.top_k(scores, count)
  weights = softmax_of_some(best)
  values = jnp.take_along_axis(
    v_BGNK[:, None, :, None], index[..., None], axis=4
  )
  y = (weights[..., None] * values.astype(jnp.float32)).sum(-2)
  place = jnp.arange(length)[None, :, None, None, None] + near + far
  distance = place - index
  return y, weights, distance


def softmax_of_some(
  scores: Float[Array, '... C'],
) -> Float[Array, '... C']:
  """The softmax over scores that are not -inf; 0 where there are none."""
  some: Bool[Array, '... C'] = jnp.isfinite(scores)
  largest = jax.lax.stop_gradient(scores.max(-1, keepdims=True))
  shift = jnp.where(jnp.isfinite(largest), largest, 0.0)
  e = jnp.where(some, jnp.exp(jnp.where(some, scores, 0.0) - shift), 0.0)
  return e / jnp.maximum(e.sum(-1, keepdims=True), 1e-30)
