"""Slots that forget and are written at their own rates, read by a softmax.

M slots have a key and a value each. At a step, slot m keeps the share f_m of
both and takes the share s_m of the step's key and value,

    a_t = diag(f_t) a_(t-1) + s_t k_t'      (M, K)
    b_t = diag(f_t) b_(t-1) + s_t v_t'      (M, V)
    p_t = softmax(a_t q_t),   y_t = b_t' p_t

T steps are read in chunks of C. The second recurrence is `add` of
`ops/linear_attention.py` with slots for keys. In the first one, what decays is
an axis that is read out: with A_ts the share that is left in each slot at t of
what was written at s,

    a_t q_t = A_t * (a q_t) + sum_(s<=t) (q_t · k_s) A_ts * s_s

where A_ts is a product of a factor of t and one of s, as in `ops/decays.py`,
and all sums over s are products of matrices.

Cost per step: 2 M (K + V) + C (K + 2 M + V).
Kept for the backward pass: the slots for each chunk, T M (K + V) / C floats.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.chunks import cut_heads, join_chunks
from memjax.ops.decays import CHANNEL_CHUNK, OfChannels, shares
from memjax.ops.linear_attention import add


def attend_slots(
  keys_BHMK: Float[Array, 'B H M K'],
  values_BHMV: Float[Array, 'B H M V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  share_BTHM: Float[Array, 'B T H M'],
  log_decay_BTHM: Float[Array, 'B T H M'],
  reset_BT: Bool[Array, 'B T'],
  *,
  chunk: int = CHANNEL_CHUNK,
) -> tuple[
  tuple[Float[Array, 'B H M K'], Float[Array, 'B H M V']],
  Float[Array, 'B T H M'],
  Float[Array, 'B T H V'],
]:
  """Reads T steps.

  Args:
    keys_BHMK: a, the slots' keys before.
    values_BHMV: b, their values.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    share_BTHM: s, the share of the step that a slot takes.
    log_decay_BTHM: log f, at most 0; below -5 counts as -5.
    reset_BT: where the slots are 0 before the step is written.
    chunk: C, from 1 to 16.

  Returns:
    The slots after the last step, the weights p, and y.
  """
  keys_BHMK, scores = _scores(
    keys_BHMK, q_BTHK, k_BTHK, share_BTHM, log_decay_BTHM, reset_BT, chunk
  )
  p_BTHM = jax.nn.softmax(scores, axis=-1)
  values_BHMV, y_BTHV = add(
    values_BHMV,
    p_BTHM,
    share_BTHM,
    v_BTHV,
    reset_BT,
    log_decay=log_decay_BTHM,
    chunk=chunk,
  )
  return (keys_BHMK, values_BHMV), p_BTHM, y_BTHV


def _scores(
  keys_BHMK: jax.Array,
  q_BTHK: jax.Array,
  k_BTHK: jax.Array,
  share_BTHM: jax.Array,
  log_decay_BTHM: jax.Array,
  reset_BT: jax.Array,
  chunk: int,
) -> tuple[jax.Array, jax.Array]:
  """The slots' keys after the last step, and a_t q_t."""
  q, k, s = (cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, share_BTHM))
  left = shares(reset_BT, log_decay_BTHM, chunk)
  assert isinstance(left, OfChannels)

  def one(a: jax.Array, steps: Any) -> tuple[jax.Array, jax.Array]:
    k, s, kept = steps
    return kept * a + jnp.einsum('BHCM,BHCK->BHMK', s, k), a

  steps = k, left.last_keys(s), left.kept()
  keys_BHMK, a = lax.scan(one, keys_BHMK, steps)
  scores = left.old_queries(jnp.einsum('NBHCK,NBHMK->NBHCM', q, a))
  near = jnp.einsum('NBHCK,NBHSK->NBHCS', q, k) * left.same_NBCS[:, :, None]
  near = jnp.einsum('NBHCS,NBHSM->NBHCM', near, s * left.falling_NBHCK)
  scores += left.rising_NBHCK * near
  return keys_BHMK, join_chunks(scores, q_BTHK.shape[1])
