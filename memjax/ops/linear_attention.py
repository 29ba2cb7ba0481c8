"""Matrix memories that add up outer products, read in chunks of many steps.

A memory w `(K, V)` decays by a_t, one number or one for each row of w, is
written u_t at the key k_t and read at the query q_t,

    w_t = a_t w_(t-1) + k_t u_t',   y_t = w_t' q_t

with u_t = v_t, `add`, or with a value that depends on what the decayed memory
holds at another key e_t, `correct`:

    u_t = v_t - a_t w_(t-1)' e_t         the delta rule: e = beta k, v = beta v

T steps are read in N chunks of C. Let w be the memory before a chunk, A_t the
product of the chunk's decays up to t, and A_ts = A_t / A_s. As
a_t w_(t-1) = A_t w + sum_(s<t) A_ts k_s u_s', a chunk's u are the solution of C
equations, and no memory but w is ever formed (the WY form of Yang et al. 2024,
https://arxiv.org/abs/2406.06484; with decays, https://arxiv.org/abs/2412.06464):

    L u = v - A (e w),   L_ts = 1 at s = t, A_ts e_t · k_s at s < t
    u   = L^-1 v - (L^-1 A e) w                        both factors w-free
    y_t = A_t w' q_t + sum_(s<=t) A_ts (q_t · k_s) u_s

Decays and resets in a chunk are those of `ops/decays.py`. Everything is
float32.

Cost per step and head: 2 K V + C (K + V); of `correct` 3 K V and
C (5 K + 3 V) / 2.
Kept for the backward pass: a memory for each chunk, T K V / C floats.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.chunks import cut_heads, join_chunks
from memjax.ops.decays import Shares, chunk_size, shares
from memjax.ops.triangular import solve_unit_lower

CHUNK = 64  # about K, or products get narrow


def add(
  w_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H *K'] | None = None,
  chunk: int = CHUNK,
) -> tuple[Float[Array, 'B H K V'], Float[Array, 'B T H V']]:
  """Writes every value as it is.

  Args:
    w_BHKV: the memory before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    reset_BT: where the memory is 0 before the step is written.
    log_decay: log a, at most 0, `(B, T, H)` or `(B, T, H, K)`; None: the memory
      does not decay.
    chunk: C, the number of steps of a chunk at most.

  Returns:
    The memory after the last step, and what each step reads.
  """
  chunk = chunk_size(log_decay, chunk)
  k, v = cut_heads(k_BTHK, chunk), cut_heads(v_BTHV, chunk)

  def write(w_BHKV: jax.Array, v_BHCV: jax.Array) -> jax.Array:
    del w_BHKV
    return v_BHCV

  q = cut_heads(q_BTHK, chunk)
  left = shares(reset_BT, log_decay, chunk)
  w_BHKV, y = _read(w_BHKV, q, k, write, v, left)
  return w_BHKV, join_chunks(y, q_BTHK.shape[1])


def correct(
  w_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  erase_BTHK: Float[Array, 'B T H K'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H *K'] | None = None,
  chunk: int = CHUNK,
) -> tuple[Float[Array, 'B H K V'], Float[Array, 'B T H V']]:
  """Writes values less what the decayed memory holds at other keys; see `add`.

  Args:
    erase_BTHK: e, the keys whose content is subtracted. Memories stay bounded
      where e = beta k with beta |k|^2 from 0 to 2.
  """
  chunk = chunk_size(log_decay, chunk)
  k, v, e = (cut_heads(x, chunk) for x in (k_BTHK, v_BTHV, erase_BTHK))
  left = shares(reset_BT, log_decay, chunk)
  lower = jnp.tril(left.scores(e, k), -1)
  known = jnp.concatenate([v, left.old_queries(e)], axis=4)
  solved = solve_unit_lower(lower, known)
  of_v, of_e = jnp.split(solved, [v.shape[4]], axis=4)

  def write(w_BHKV: jax.Array, x: tuple[jax.Array, jax.Array]) -> jax.Array:
    of_v, of_e = x
    return of_v - jnp.einsum('BHCK,BHKV->BHCV', of_e, w_BHKV)

  q = cut_heads(q_BTHK, chunk)
  w_BHKV, y = _read(w_BHKV, q, k, write, (of_v, of_e), left)
  return w_BHKV, join_chunks(y, q_BTHK.shape[1])


def _read(
  w_BHKV: jax.Array,
  q: jax.Array,
  k: jax.Array,
  write: Callable[[jax.Array, Any], jax.Array],
  x: Any,
  left: Shares,
) -> tuple[jax.Array, jax.Array]:
  """Passes the memory from chunk to chunk, then reads all chunks at once.

  Args:
    w_BHKV: the memory before.
    q: queries, `(N, B, H, C, K)`.
    k: keys, of the same shape.
    write: the memory before a chunk and what the chunk has of x to its u.
    x: a tree of arrays `(N, ...)`.
    left: what is left at each step of the chunks.
  """

  def one(w: jax.Array, chunk: Any) -> tuple[jax.Array, Any]:
    k, x, kept = chunk
    u = write(w, x)
    return kept * w + jnp.einsum('BHCK,BHCV->BHKV', k, u), (w, u)

  w_BHKV, (w, u) = lax.scan(one, w_BHKV, (left.last_keys(k), x, left.kept()))
  y = jnp.einsum('NBHCK,NBHKV->NBHCV', left.old_queries(q), w)
  y += jnp.einsum('NBHCS,NBHSV->NBHCV', left.scores(q, k), u)
  return w_BHKV, y
