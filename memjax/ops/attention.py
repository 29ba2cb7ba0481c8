"""Attention over a window of the past that reaches into earlier segments.

The keys of a call are those of the memory, then those of the segment: S = M + T
of them, so query t stands at key M + t. It sees the keys at distances
0 <= d <= window that belong to its own run, a run being what lies between two
resets. T long against the window is read in N chunks of C queries, each against
its own chunk and the one before it: memory and time grow with T window, not
with T T.

Further letters: N chunks, C queries of a chunk, G heads of the keys (H, or
fewer where heads share keys), R distances, V width of the values.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

UNSEEN = -1e30  # finite, or a row without keys would turn into NaN
CHUNK = 64  # queries: smaller products keep no device busy


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
  relative: tuple[Float[Array, 'B T H J'], Float[Array, 'R g J']] | None = None,
  *,
  chunk: int = CHUNK,
) -> Float[Array, 'B T H V']:
  """Softmax attention of each query over the window behind it.

  Heads may share keys: query head h reads key head h G // H. Scores are summed
  and the softmax is taken in float32.

  Args:
    q_BTHK: queries, already divided by the square root of the head width.
    k_BSGK: keys of the memory's M = S - T slots, then of the segment.
    v_BSGV: values of the same.
    run_BS: from `run_ids`.
    window: the number of keys before its own that a query sees, at most S - 1.
      Above M, queries are not cut into chunks.
    relative: queries and keys of a second score, by distance: row d of the
      keys is distance d, R = window + 1.
    chunk: the number of queries of a chunk at least; the memory's slots are
      another lower limit.

  Returns:
    The average of the values a query sees, weighted by the softmax.
  """
  length, slots = q_BTHK.shape[1], k_BSGK.shape[1] - q_BTHK.shape[1]
  chunks = 1 if window > slots else max(length // max(slots, chunk), 1)
  q, k, v = (
    _chunk(q_BTHK, chunks),
    _spans(k_BSGK, slots, chunks),
    _spans(v_BSGV, slots, chunks),
  )
  keys = k.shape[2]
  back = keys - q.shape[2]
  scores = _scores(q, k, 'BNSGK')
  if relative is not None:
    p_BTHJ, r_RGJ = relative
    by_distance = _scores(_chunk(p_BTHJ, chunks), r_RGJ[::-1], 'SGK')
    scores += _skew(by_distance, back, keys)
  seen_BNCS = _seen(
    _chunk(run_BS[:, slots:], chunks),
    _spans(run_BS, slots, chunks),
    window,
  )
  scores = jnp.where(seen_BNCS[:, :, None], scores, UNSEEN)
  weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
  weights = weights.reshape(
    *weights.shape[:2], v.shape[3], -1, *scores.shape[3:]
  )
  y = jnp.einsum('BNGJCS,BNSGV->BNCGJV', weights, v)
  return y.reshape(y.shape[0], -1, q.shape[3], v.shape[4])[:, :length]


def weights_by_lag(
  q_BTHK: Float[Array, 'B T H K'],
  k_BSGK: Float[Array, 'B S G K'],
  run_BS: Int[Array, 'B S'],
  window: int,
  relative: tuple[Float[Array, 'B T H J'], Float[Array, 'R g J']] | None = None,
  *,
  chunk: int = CHUNK,
) -> Float[Array, 'B T H R']:
  """The softmax of `windowed_attention` by distance, for inspection.

  Args:
    q_BTHK: this and all others are those of `windowed_attention`.
    k_BSGK: keys.
    run_BS: runs.
    window: the number of keys before its own that a query sees.
    relative: the second score.
    chunk: the number of queries of a chunk at least.

  Returns:
    The weights of the R distances 0 ... window; 0 where the query sees no key.
    Memory grows with S S.
  """
  length, keys = q_BTHK.shape[1], k_BSGK.shape[1]
  # The average of the rows of an identity matrix is the weights themselves.
  each_SS = jnp.eye(keys, dtype=jnp.float32)[None, :, None]
  each_BSGS = jnp.broadcast_to(each_SS, (*k_BSGK.shape[:3], keys))
  by_key_BTHS = windowed_attention(
    q_BTHK, k_BSGK, each_BSGS, run_BS, window, relative, chunk=chunk
  )
  place_T1 = jnp.arange(keys - length, keys)[:, None]
  place_TR = place_T1 - jnp.arange(window + 1)[None]
  by_lag_BTHR = jnp.take_along_axis(
    by_key_BTHS, jnp.maximum(place_TR, 0)[None, :, None], axis=3
  )
  return jnp.where(place_TR[None, :, None] >= 0, by_lag_BTHR, 0.0)


def _scores(q_BNCHK: jax.Array, k: jax.Array, axes: str) -> jax.Array:
  """Products of queries and keys, `(B, N, H, C, S)` float32."""
  *lead, heads, width = q_BNCHK.shape
  q = q_BNCHK.reshape(*lead, k.shape[-2], -1, width)
  scores = jnp.einsum(
    f'BNCGJK,{axes}->BNGJCS', q, k, preferred_element_type=jnp.float32
  )
  return scores.reshape(*lead[:2], heads, *scores.shape[4:])


def _seen(
  run_BNC: jax.Array, run_BNS: jax.Array, window: int
) -> Bool[Array, 'B N C S']:
  """Which keys of its span each query of a chunk sees."""
  queries, keys = run_BNC.shape[2], run_BNS.shape[2]
  place_C = jnp.arange(queries) + keys - queries
  distance_CS = place_C[:, None] - jnp.arange(keys)[None]
  near_CS = (distance_CS >= 0) & (distance_CS <= window)
  return near_CS[None, None] & (run_BNC[..., None] == run_BNS[:, :, None])


def _skew(scores: jax.Array, back: int, keys: int) -> jax.Array:
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


def _chunk(x_BT: jax.Array, chunks: int) -> jax.Array:
  """`(B, T, ...)` to `(B, N, C, ...)`, padded at the end."""
  batch, length, *rest = x_BT.shape
  x_BT = _pad_time(x_BT, 0, -length % chunks)
  return x_BT.reshape(batch, chunks, -1, *rest)


def _spans(x_BS: jax.Array, slots: int, chunks: int) -> jax.Array:
  """`(B, M + T, ...)` to the keys of each chunk, its own and those before.

  The padding needs no mask: it lies outside every window or in the future.
  """
  if chunks == 1:
    return x_BS[:, None]
  length = x_BS.shape[1] - slots
  size = -(-length // chunks)
  x = _pad_time(x_BS, size - slots, size * chunks - length)
  x = x.reshape(x.shape[0], chunks + 1, size, *x.shape[2:])
  return jnp.concatenate([x[:, :-1], x[:, 1:]], axis=2)


def _pad_time(x: jax.Array, left: int, right: int) -> jax.Array:
  widths = [(0, 0), (left, right)] + [(0, 0)] * (x.ndim - 2)
  return jnp.pad(x, widths)
