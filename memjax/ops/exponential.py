"""The matrix memory of xLSTM: exponential gates, kept in range by a maximum.

For each head, with log f <= 0 and any log i,

    w_t = f_t w_(t-1) + i_t k_t v_t',   z_t = f_t z_(t-1) + i_t k_t
    y_t = w_t' q_t / max(|z_t · q_t|, 1)

i can be far beyond the range of float32. So w and z are kept divided by exp(m),

    m_t = max(log f_t + m_(t-1), log i_t),

and y_t = w' q / max(|z · q|, exp(-m)), which does not depend on m: numerator
and both arms of the denominator have the factor exp(-m). For the same reason m
has no gradient. A denominator below 1e-15 counts as 1e-15.

T steps are read in N chunks of C. With F_t the sum of log f over the chunk up
to t, the share of what step s <= t wrote is exp(F_t - F_s + log i_s - m_t), and
that of the memory before the chunk exp(F_t + m - m_t), where

    m_t = max(F_t + m, max_(s<=t) F_t - F_s + log i_s)

A reset in a chunk is a mask, as in `ops/linear_attention.py`. A memory that
holds nothing has m = -1e30. Everything is float32.

Cost per step and head: 2 K V + C (K + V).
Kept for the backward pass: a memory for each chunk, T K V / C floats.
"""

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.chunks import cut_chunks, cut_heads, join_chunks

LEAST = 1e-15  # of a divisor; less is below the round-off of its terms
NOTHING = -1e30  # the logarithm of no share at all; its differences are finite


class Memory(NamedTuple):
  """What is remembered, divided by exp(m).

  Attributes:
    w_BHKV: sums of outer products.
    z_BHK: sums of keys.
    m_BH: the logarithm of the largest share.
  """

  w_BHKV: jax.Array
  z_BHK: jax.Array
  m_BH: jax.Array


def nothing(batch_size: int, heads: int, keys: int, values: int) -> Memory:
  """A memory that holds nothing."""
  shape = batch_size, heads, keys
  return Memory(
    jnp.zeros((*shape, values)),
    jnp.zeros(shape),
    jnp.full(shape[:2], NOTHING, jnp.float32),
  )


def exponential(
  memory: Memory,
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  log_i_BTH: Float[Array, 'B T H'],
  log_f_BTH: Float[Array, 'B T H'],
  reset_BT: Bool[Array, 'B T'],
  *,
  chunk: int,
) -> tuple[Memory, Float[Array, 'B T H V']]:
  """Reads T steps.

  Args:
    memory: that before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    log_i_BTH: logarithms of the shares that are written.
    log_f_BTH: logarithms of the shares that are kept, at most 0.
    reset_BT: where the memory is empty before the step is written.
    chunk: C, the number of steps of a chunk at most.

  Returns:
    The memory after the last step, and what each step reads.
  """
  length = q_BTHK.shape[1]
  log_f_BTH = jnp.where(reset_BT[..., None], 0, log_f_BTH)
  chunks = (
    *(cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, v_BTHV)),
    cut_heads(log_i_BTH, chunk),
    jnp.cumsum(cut_heads(log_f_BTH, chunk), axis=3),
    jnp.cumsum(cut_chunks(reset_BT, chunk).astype(jnp.int32), axis=2),
  )
  memory, y = lax.scan(_read, memory, chunks)
  return memory, join_chunks(y, length)


def _read(memory: Memory, chunk: Any) -> tuple[Memory, jax.Array]:
  """One chunk: `(B, H, C, ...)`."""
  q, k, v, log_i_BHC, kept_BHC, run_BC = chunk
  w, z, m_BH = memory
  same = jnp.tril(run_BC[:, :, None] == run_BC[:, None])[:, None]
  old = (run_BC == 0)[:, None]
  written = (
    kept_BHC[..., None] - kept_BHC[..., None, :] + log_i_BHC[..., None, :]
  )
  written = jnp.where(same, written, NOTHING)
  before = jnp.where(old, kept_BHC + m_BH[..., None], NOTHING)
  m_BHC = lax.stop_gradient(jnp.maximum(written.max(-1), before))
  # Masked exponents are far below any m, unless all are: so the mask again.
  share = jnp.where(same, jnp.exp(written - m_BHC[..., None]), 0)
  share_before = jnp.where(old, jnp.exp(before - m_BHC), 0)[..., None]
  scores = jnp.einsum('BHCK,BHSK->BHCS', q, k) * share
  read = jnp.einsum('BHCS,BHSV->BHCV', scores, v)
  read += share_before * jnp.einsum('BHCK,BHKV->BHCV', q, w)
  total = scores.sum(-1) + share_before[..., 0] * (q * z[:, :, None]).sum(-1)
  divisor = jnp.maximum(jnp.abs(total), jnp.exp(-m_BHC))
  y = read / jnp.maximum(divisor, LEAST)[..., None]
  last = share[:, :, -1, :, None] * k
  kept = share_before[:, :, -1]
  after = Memory(
    kept[..., None] * w + jnp.einsum('BHCK,BHCV->BHKV', last, v),
    kept * z + last.sum(2),
    m_BHC[..., -1],
  )
  return after, y
