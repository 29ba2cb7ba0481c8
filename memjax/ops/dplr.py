"""Matrix memories whose transition is diagonal plus a matrix of rank one.

    w_t = diag(a_t) w_(t-1) - b_t ((diag(a_t) w_(t-1))' e_t)' + k_t v_t'
    y_t = w_t' q_t

What the decayed memory holds at e is taken away at b. With e = beta k, b = k
and v times beta this is `correct` of `ops/linear_attention.py`; here b and k
are free of each other.

T steps are read in chunks of C. Let w be the memory before a chunk, A_t the
product of the chunk's decays up to t, A_ts = A_t / A_s, and z_t what is taken
away at step t. A chunk's z are the solution of C equations:

    z_t + sum_(s<t) A_ts (e_t · b_s) z_s
        = A_t w' e_t + sum_(s<t) A_ts (e_t · k_s) v_s
    y_t = A_t w' q_t + sum_(s<=t) A_ts ((q_t · k_s) v_s - (q_t · b_s) z_s)

Decays, resets and the limit of a chunk are as in `ops/decays.py`.

Cost per step and head: 4 K V + C (4 K + 5 V / 2).
Kept for the backward pass: a memory for each chunk, T K V / C floats.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.chunks import cut_heads, join_chunks
from memjax.ops.decays import CHANNEL_CHUNK, shares
from memjax.ops.triangular import solve_unit_lower


def dplr(
  w_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  e_BTHK: Float[Array, 'B T H K'],
  b_BTHK: Float[Array, 'B T H K'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H K'],
  chunk: int = CHANNEL_CHUNK,
) -> tuple[Float[Array, 'B H K V'], Float[Array, 'B T H V']]:
  """Reads T steps.

  Args:
    w_BHKV: the memory before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    e_BTHK: where the decayed memory is read for what is taken away.
    b_BTHK: where it is taken away.
    reset_BT: where the memory is 0 before the step is written.
    log_decay: log a, at most 0; below -5 counts as -5.
    chunk: C, from 1 to 16.

  Returns:
    The memory after the last step, and what each step reads.
  """
  q, k, v, e, b = (
    cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, v_BTHV, e_BTHK, b_BTHK)
  )
  left = shares(reset_BT, log_decay, chunk)
  near = jnp.tril(left.scores(e, k), -1)
  known = jnp.concatenate(
    [jnp.einsum('NBHCS,NBHSV->NBHCV', near, v), left.old_queries(e)], axis=4
  )
  solved = solve_unit_lower(jnp.tril(left.scores(e, b), -1), known)
  of_v, of_e = jnp.split(solved, [v.shape[4]], axis=4)

  def one(w: jax.Array, steps: Any) -> tuple[jax.Array, Any]:
    k, b, v, of_v, of_e, kept = steps
    z = of_v + jnp.einsum('BHCK,BHKV->BHCV', of_e, w)
    after = kept * w + jnp.einsum('BHCK,BHCV->BHKV', k, v)
    return after - jnp.einsum('BHCK,BHCV->BHKV', b, z), (w, z)

  last_k, last_b = left.last_keys(k), left.last_keys(b)
  steps = last_k, last_b, v, of_v, of_e, left.kept()
  w_BHKV, (w, z) = lax.scan(one, w_BHKV, steps)
  y = jnp.einsum('NBHCK,NBHKV->NBHCV', left.old_queries(q), w)
  y += jnp.einsum('NBHCS,NBHSV->NBHCV', left.scores(q, k), v)
  y -= jnp.einsum('NBHCS,NBHSV->NBHCV', left.scores(q, b), z)
  return w_BHKV, join_chunks(y, q_BTHK.shape[1])
