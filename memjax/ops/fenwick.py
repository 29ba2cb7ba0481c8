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

Cost per step and head: L K V + K V + C (K + V + L).
Kept for the backward pass: L memories for each chunk.

Further letters: N chunks, C steps of a chunk, L levels above 0.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memjax.ops.chunks import cut_chunks, cut_heads, join_chunks
from memjax.ops.decays import shares


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
  length, levels = q_BTHK.shape[1], w_BLHKV.shape[1]
  q, k, v, weight = (
    cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, v_BTHV, weight_BTHL)
  )
  left = shares(reset_BT, log_decay, chunk)
  place_BT, after_B = places(count_B, reset_BT)
  place = cut_chunks(place_BT, chunk)
  # The step after each chunk, if it is of the run of the chunk's last step.
  size = place.shape[2]
  ends = [min((n + 1) * size, length) - 1 for n in range(len(place))]
  next_NB = place_BT[:, jnp.asarray(ends)].T + 1

  def seen(p: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.minimum(digits(p ^ other), levels)

  near = jax.nn.one_hot(seen(place[..., None], place[:, :, None]), levels + 1)
  scores = left.scores(q, k)
  scores *= jnp.einsum('NBHCL,NBCSL->NBHCS', weight, near)
  moved = merged(seen(next_NB, place[..., 0]), levels)
  new = jax.nn.one_hot(seen(next_NB[..., None], place) - 1, levels)
  steps = left.last_keys(k), v, left.kept()[:, :, None], moved[..., 1:], new
  w_BLHKV, w = lax.scan(_after_chunk, w_BLHKV, steps)
  old = merged(seen(place, place[..., :1]), levels)
  old = jnp.einsum('NBHCM,NBCLM->NBHCL', weight, old)
  read = jnp.einsum('NBHCK,NBLHKV->NBHCLV', left.old_queries(q), w)
  y = (old[..., None] * read).sum(4)
  y += jnp.einsum('NBHCS,NBHSV->NBHCV', scores, v)
  return (w_BLHKV, after_B), join_chunks(y, length)


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
  k, v, kept, moved_BLL, new_BCL = chunk
  after = kept * jnp.einsum('BMHKV,BML->BLHKV', w, moved_BLL)
  return after + jnp.einsum('BHCK,BHCV,BCL->BLHKV', k, v, new_BCL), w
