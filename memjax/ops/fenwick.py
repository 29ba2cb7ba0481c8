"""Log-linear attention: a memory for each scale of the past.

With p_t the number of steps before t in its run, what step s <= t wrote is of
level l(t, s), the number of binary digits of p_t XOR p_s: 0 for the step
itself, and each level covers up to twice as many steps as the one below, as in
a Fenwick tree. Each level is read with a weight of its own:

    y_t = sum_(s<=t) lambda_t,l(t,s) A_ts (q_t · k_s) v_s

As p_t grows, whole levels merge, so one memory for each level is kept, summed
over the steps that it covers. Seen from a later step t, what was of level m at
step u is of level max(m, l(t, u)). So T steps can be read in chunks of any
length, at any place in the run, as in `ops/linear_attention.py`: the levels
that chunks hand on are those seen from the step after the chunk. Levels from L
on are one.

With the delta rule, `correct_levels`, a step also changes what earlier steps
wrote, at every level alike:

    w_t^l = a_t (w_(t-1)^l - k_t (w_(t-1)^l' e_t)'),   k_t v_t' is added to w^0
    y_t = sum_l lambda_t,l w_t^l' q_t

Cost per step and head: L K V + K V + C (K + V + L); of `correct_levels`
2 L K V + K V + C (4 K + V + L + C / 2).
Kept for the backward pass: L memories for each chunk.

Further letters: N chunks, C steps of a chunk, L levels above 0.
"""

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memjax.ops.chunks import cut_chunks, cut_heads, join_chunks
from memjax.ops.decays import Shares, shares
from memjax.ops.triangular import solve_unit_lower


class StepLevels(NamedTuple):
  """Which levels the steps of chunks have, one-hot, and the last count.

  Attributes:
    near: of step s seen from step t of its chunk, `(N, B, C, C, L + 1)`.
    old: of the memories before the chunk, seen from step t, `(N, B, C, L,
      L + 1)`.
    moved: of these memories after the chunk, `(N, B, L, L)`.
    new: of the chunk's steps after it, `(N, B, C, L)`.
    count_B: number of steps of the run after the last one.
  """

  near: jax.Array
  old: jax.Array
  moved: jax.Array
  new: jax.Array
  count_B: jax.Array


class Reads(NamedTuple):
  """What the steps of chunks read and write, whatever their levels.

  Attributes:
    scores: what step t reads of v_s, `(N, B, H, C, C)`.
    queries: what reads the memories before the chunk, `(N, B, H, C, K)`.
    keys: where v_s is in the memory after the chunk, `(N, B, H, C, K)`.
    erased: what the chunk takes from the memories before it at `keys`, of the
      same shape; () for nothing.
  """

  scores: jax.Array
  queries: jax.Array
  keys: jax.Array
  erased: Any = ()


def add_levels(
  w_BLHKV: Float[Array, 'B L H K V'],
  count_B: Int[Array, 'B'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  weight_BTHL: Float[Array, 'B T H levels'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H'],
  chunk: int,
) -> tuple[
  tuple[Float[Array, 'B L H K V'], Int[Array, 'B']], Float[Array, 'B T H V']
]:
  """Reads T steps.

  Args:
    w_BLHKV: the memories of levels 1 to L before, seen from the first step.
    count_B: number of steps since the last reset.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    weight_BTHL: lambda of levels 0 to L.
    reset_BT: where all is forgotten before the step is written.
    log_decay: log a, at most 0.
    chunk: C, the number of steps of a chunk at most.

  Returns:
    Memories and count after the last step, and y.
  """
  q, k = cut_heads(q_BTHK, chunk), cut_heads(k_BTHK, chunk)
  left = shares(reset_BT, log_decay, chunk)
  reads = Reads(left.scores(q, k), left.old_queries(q), left.last_keys(k))
  levels = _levels(count_B, reset_BT, w_BLHKV.shape[1], chunk)
  return _read(w_BLHKV, reads, v_BTHV, weight_BTHL, left, levels, chunk)


def correct_levels(
  w_BLHKV: Float[Array, 'B L H K V'],
  count_B: Int[Array, 'B'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  erase_BTHK: Float[Array, 'B T H K'],
  weight_BTHL: Float[Array, 'B T H levels'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H'],
  chunk: int,
) -> tuple[
  tuple[Float[Array, 'B L H K V'], Int[Array, 'B']], Float[Array, 'B T H V']
]:
  """Writes values less what the decayed memory holds; see `add_levels`.

  Args:
    erase_BTHK: e, the keys whose content is subtracted, as in `correct`.
  """
  q, k, e = (cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, erase_BTHK))
  left = shares(reset_BT, log_decay, chunk)
  # A chunk's u are inverse (v - e w), as in `ops/linear_attention.py`. Levels
  # are those of v, so the inverse is multiplied with what reads u.
  known = jnp.concatenate(
    [jnp.swapaxes(left.scores(q, k), 3, 4), left.last_keys(k)], axis=4
  )
  lower = jnp.tril(left.scores(e, k), -1)
  solved = solve_unit_lower(lower, known, transposed=True)
  steps = q.shape[3]
  scores = jnp.swapaxes(solved[..., :steps], 3, 4)
  erased = left.old_queries(e)
  queries = left.old_queries(q)
  queries -= jnp.einsum('NBHCS,NBHSK->NBHCK', scores, erased)
  reads = Reads(scores, queries, solved[..., steps:], erased)
  levels = _levels(count_B, reset_BT, w_BLHKV.shape[1], chunk)
  return _read(w_BLHKV, reads, v_BTHV, weight_BTHL, left, levels, chunk)


def _levels(
  count_B: jax.Array, reset_BT: jax.Array, levels: int, chunk: int
) -> StepLevels:
  place_BT, after_B = places(count_B, reset_BT)
  place = cut_chunks(place_BT, chunk)
  # The step after each chunk, if it is of the run of the chunk's last step.
  size, length = place.shape[2], reset_BT.shape[1]
  ends = [min((n + 1) * size, length) - 1 for n in range(len(place))]
  next_NB = place_BT[:, jnp.asarray(ends)].T + 1

  def seen(p: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.minimum(digits(p ^ other), levels)

  return StepLevels(
    jax.nn.one_hot(seen(place[..., None], place[:, :, None]), levels + 1),
    merged(seen(place, place[..., :1]), levels),
    merged(seen(next_NB, place[..., 0]), levels)[..., 1:],
    jax.nn.one_hot(seen(next_NB[..., None], place) - 1, levels),
    after_B,
  )


def _read(
  w_BLHKV: jax.Array,
  reads: Reads,
  v_BTHV: jax.Array,
  weight_BTHL: jax.Array,
  left: Shares,
  levels: StepLevels,
  chunk: int,
) -> Any:
  """Passes the memories from chunk to chunk, then reads all chunks at once."""
  v, weight = cut_heads(v_BTHV, chunk), cut_heads(weight_BTHL, chunk)
  steps = reads.keys, reads.erased, v, left.kept()[:, :, None]
  w_BLHKV, w = lax.scan(
    _after_chunk, w_BLHKV, (*steps, levels.moved, levels.new)
  )
  old = jnp.einsum('NBHCM,NBCLM->NBHCL', weight, levels.old)
  # One product over levels and channels: jaxlib 0.10 crashes on some CPUs if it
  # sums seven axes over the levels and one of the axes has length 1.
  asked = old[..., None] * reads.queries[:, :, :, :, None]
  y = jnp.einsum('NBHCLK,NBLHKV->NBHCV', asked, w)
  scores = reads.scores
  scores *= jnp.einsum('NBHCL,NBCSL->NBHCS', weight, levels.near)
  y += jnp.einsum('NBHCS,NBHSV->NBHCV', scores, v)
  return (w_BLHKV, levels.count_B), join_chunks(y, v_BTHV.shape[1])


def merged(level: jax.Array, levels: int) -> jax.Array:
  """The level that each of 1 to L becomes, `(..., L, L + 1)`, one-hot.

  Args:
    level: that of the step from which they were seen so far.
    levels: L.
  """
  own = jnp.arange(1, levels + 1, dtype=level.dtype).reshape(
    (1,) * level.ndim + (levels,)
  )
  return jax.nn.one_hot(jnp.maximum(level[..., None], own), levels + 1)


def places(
  count_B: jax.Array, reset_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """p of each step, and the number of steps of the run after the last one."""
  step_T = jnp.arange(reset_BT.shape[1], dtype=jnp.int32)[None]
  start_BT = jnp.where(reset_BT, step_T, -count_B[:, None])
  place_BT = step_T - lax.cummax(start_BT, axis=1)
  return place_BT, place_BT[:, -1] + 1


def digits(n: jax.Array) -> jax.Array:
  """The number of binary digits, 0 of 0."""
  return 32 - lax.clz(n)


def _after_chunk(w: jax.Array, chunk: Any) -> tuple[jax.Array, jax.Array]:
  """The memories after a chunk, and those before it."""
  k, erased, v, kept, moved_BLL, new_BCL = chunk
  held = kept * w
  if not isinstance(erased, tuple):
    held -= jnp.einsum('BHCK,BHCQ,BLHQV->BLHKV', k, erased, w)
  after = jnp.einsum('BMHKV,BML->BLHKV', held, moved_BLL)
  return after + jnp.einsum('BHCK,BHCV,BCL->BLHKV', k, v, new_BCL), w
