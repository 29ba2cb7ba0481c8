"""Attention over a window of the past that reaches into earlier segments.

The keys of a call are those of the memory, then those of the segment: S = M + T
of them, so query t stands at key M + t. It sees the keys at distances
0 <= d <= window that belong to its own run, a run being what lies between two
resets. Time grows with T window, and memory with T + window, not with T T:
`ops/tiles.py` cuts the work, `ops/scores.py` has the scores,
`ops/tiled_attention.py` the softmax and its gradient. What cuDNN can compute,
`ops/fused_attention.py` has it compute.

Further letters: G heads of the keys (H, or fewer where heads share keys), J
heads of queries for each of them, P width of the second score, R distances, V
width of the values.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memjax.ops import fused_attention
from memjax.ops.scores import Terms
from memjax.ops.tiled_attention import Reach, attend
from memjax.ops.tiles import cover

CHUNK = 64  # queries: fewer keep no device busy, more leave a CPU's cache
LARGE_CHUNK = 512  # queries, on devices that run many threads
CACHED = 384 * 1024  # bytes of a tile's scores, of the rows read at once
LEAST_CACHED = 128 * 1024  # bytes of one row's
LEAST_SKIPPED = 1024  # pairs of a query and a slot of the memory


def run_ids(
  count_B: Int[Array, 'B'], slots: int, reset_BT: Bool[Array, 'B T']
) -> Int[Array, 'B S']:
  """Numbers the runs of memory and segment; equal numbers see each other.

  Args:
    count_B: the number of the memory's last slots that are filled.
    slots: M, the memory's slots.
    reset_BT: True where a run begins.

  Returns:
    -1 for empty slots, 0 for filled ones and the segment's first run, then
    one more at each reset.
  """
  filled_BM = jnp.arange(slots)[None] >= slots - count_B[:, None]
  segment_BT = jnp.cumsum(reset_BT.astype(jnp.int32), axis=1)
  return jnp.concatenate([filled_BM.astype(jnp.int32) - 1, segment_BT], axis=1)


def last_run(run_BS: Int[Array, 'B S'], most: int) -> Int[Array, 'B']:
  """The length of each row's last run, counted up to `most`."""
  length_B = (run_BS == run_BS[:, -1:]).sum(axis=1, dtype=jnp.int32)
  return jnp.minimum(length_B, most)


def windowed_attention(
  q_BTHK: Float[Array, 'B T H K'],
  k_BSGK: Float[Array, 'B S G K'],
  v_BSGV: Float[Array, 'B S G V'],
  run_BS: Int[Array, 'B S'],
  window: int,
  relative: tuple[Float[Array, 'B T H P'], Float[Array, 'R g P']] | None = None,
  *,
  log_decay_BSH: Float[Array, 'B S H'] | None = None,
  sinks_H: Float[Array, 'H'] | None = None,
  chunk: int = CHUNK,
) -> Float[Array, 'B T H V']:
  """Softmax attention of each query over the window behind it.

  Heads may share keys: query head h reads key head h G // H. Scores are summed
  and the softmax is taken in float32. On a CPU a memory that no row sees, as at
  the start of an episode, is not read.

  Args:
    q_BTHK: queries, already divided by the square root of the head width.
    k_BSGK: keys of the memory's M = S - T slots, then of the segment.
    v_BSGV: values of the same.
    run_BS: from `run_ids`.
    window: the number of keys before its own that a query sees, at most S - 1.
    relative: queries and keys of a second score, by distance: row d of the
      keys is distance d, R = window + 1.
    log_decay_BSH: added to the scores of a query are those of all keys after
      the key, up to the query's own.
    sinks_H: scores that belong to no key; the weights of the keys then have a
      sum below 1.
    chunk: the number of queries that are read at once, at least.

  Returns:
    The average of the values a query sees, weighted by the softmax.
  """
  batch, length, heads, _ = q_BTHK.shape
  shared = k_BSGK.shape[2]
  slots = k_BSGK.shape[1] - length
  # On other devices a choice costs a message to the host, and small products
  # leave most of the device idle. This was not measured there.
  on_cpu = jax.default_backend() == 'cpu'
  skip = on_cpu and slots * length >= LEAST_SKIPPED and window > 0
  size = chunk if on_cpu else max(chunk, LARGE_CHUNK)
  terms = _terms(relative, log_decay_BSH, sinks_H, slots, shared)
  stretches = cover(length, slots, window, size, 0)
  inputs = q_BTHK, k_BSGK, v_BSGV
  if not any(terms) and fused_attention.takes(*inputs, stretches):
    return fused_attention.attend(*inputs, run_BS, window, stretches)
  largest = max(tile.queries * tile.keys for tile, _ in stretches)
  tile = 4 * heads * largest
  rows = _rows_at_once(batch, tile, relative) if on_cpu else batch
  y = attend(
    Reach(window, size, skip, rows),
    _of_queries(q_BTHK, shared),
    _of_keys(k_BSGK),
    _of_keys(v_BSGV),
    terms,
    run_BS,
  )
  return y.transpose(1, 3, 0, 2, 4).reshape(*q_BTHK.shape[:3], -1)


def weights_by_lag(
  q_BTHK: Float[Array, 'B T H K'],
  k_BSGK: Float[Array, 'B S G K'],
  run_BS: Int[Array, 'B S'],
  window: int,
  relative: tuple[Float[Array, 'B T H P'], Float[Array, 'R g P']] | None = None,
  **others: Any,
) -> Float[Array, 'B T H R']:
  """The softmax of `windowed_attention` by distance, for inspection.

  Args:
    q_BTHK: this and all others are those of `windowed_attention`.
    k_BSGK: keys.
    run_BS: runs.
    window: the number of keys before its own that a query sees.
    relative: the second score.
    others: further scores.

  Returns:
    The weights of the R distances 0 ... window; 0 where the query sees no key.
    Memory grows with S S.
  """
  length, keys = q_BTHK.shape[1], k_BSGK.shape[1]
  # The average of the rows of an identity matrix is the weights themselves.
  each_SS = jnp.eye(keys, dtype=jnp.float32)[None, :, None]
  each_BSGS = jnp.broadcast_to(each_SS, (*k_BSGK.shape[:3], keys))
  by_key_BTHS = windowed_attention(
    q_BTHK, k_BSGK, each_BSGS, run_BS, window, relative, **others
  )
  place_T1 = jnp.arange(keys - length, keys)[:, None]
  place_TR = place_T1 - jnp.arange(window + 1)[None]
  by_lag_BTHR = jnp.take_along_axis(
    by_key_BTHS, jnp.maximum(place_TR, 0)[None, :, None], axis=3
  )
  return jnp.where(place_TR[None, :, None] >= 0, by_lag_BTHR, 0.0)


def _rows_at_once(batch: int, tile_bytes: int, relative: Any) -> int:
  """A divisor of the batch; the rows' tiles stay in the cache of a core.

  Rows that XLA has divided among devices are read at once: each device would
  wait for the others' rows. Inside of `jax.shard_map` all rows are a device's.
  Small tiles are read at once too, and scores by distance, whose keys all rows
  share: there a loop costs more than it gains.
  """
  mesh = jax.sharding.get_abstract_mesh()
  divided = jax.device_count() > 1 and not mesh.manual_axes
  if divided or relative is not None or tile_bytes < LEAST_CACHED:
    return batch
  most = max(CACHED // tile_bytes, 1)
  return max(n for n in range(1, min(most, batch) + 1) if batch % n == 0)


def _terms(
  relative: tuple[jax.Array, jax.Array] | None,
  log_decay_BSH: jax.Array | None,
  sinks_H: jax.Array | None,
  slots: int,
  shared: int,
) -> Terms:
  """The further scores of `windowed_attention`, for G key heads."""
  terms = Terms({}, {}, {})
  if relative is not None:
    p_BTHP, r_RgP = relative
    terms.by_query['p'] = _of_queries(p_BTHP, shared)
    terms.shared['r'] = r_RgP[::-1].swapaxes(0, 1)
  if log_decay_BSH is not None:
    sum_BSH = jnp.cumsum(log_decay_BSH.astype(jnp.float32), axis=1)
    batch, keys, _ = sum_BSH.shape
    terms.by_query['decay'] = _of_queries(sum_BSH[:, slots:, :, None], shared)
    terms.by_key['decay'] = _of_keys(sum_BSH.reshape(batch, keys, shared, -1))
  if sinks_H is not None:
    sinks_H = sinks_H.astype(jnp.float32)
    terms.shared['sink'] = sinks_H.reshape(shared, 1, -1, 1, 1)
  return terms


def _of_queries(x_BTHX: jax.Array, shared: int) -> jax.Array:
  """`(G, B, J, T, X)`."""
  batch, length, heads, _ = x_BTHX.shape
  x = x_BTHX.reshape(batch, length, shared, heads // shared, -1)
  return x.transpose(2, 0, 3, 1, 4)


def _of_keys(x_BSGX: jax.Array) -> jax.Array:
  """`(G, B, S, X)`."""
  return x_BSGX.transpose(2, 0, 1, 3)
