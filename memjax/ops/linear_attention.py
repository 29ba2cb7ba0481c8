"""Matrix memories that add up outer products, read in chunks of many steps.

A memory w `(K, V)` is written u_t at the key k_t and read at the query q_t,

    w_t = w_(t-1) + k_t u_t',   y_t = w_t' q_t

with u_t = v_t, `add`, or with what w_(t-1) lacks, `correct`:

    u_t = beta_t (v_t - w_(t-1)' k_t)                      the delta rule

T steps are read in N chunks of C. Let w be the memory before a chunk. As
w_(t-1) = w + sum_(s<t) k_s u_s', a chunk's u are the solution of C equations,
and no memory but w is ever formed (the WY form of Yang et al. 2024,
https://arxiv.org/abs/2406.06484):

    L u = beta (v - k w),   L_ts = 1 at s = t, beta_t k_t · k_s at s < t
    u   = L^-1 beta v - (L^-1 beta k) w                    both factors w-free
    y_t = w' q_t + sum_(s<=t) (q_t · k_s) u_s

A reset in a chunk is a mask: products of steps of different runs are 0, and w
counts only before the first reset. Everything is float32.

Cost per step and head: 2 K V + C (K + V); of the delta rule 3 K V and
C (5 K + 3 V) / 2.
Kept for the backward pass: a memory for each chunk, T K V / C floats.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

CHUNK = 64  # about K, or products get narrow


class Runs(NamedTuple):
  """Which steps of a chunk are in one run, as factors 1 and 0.

  Attributes:
    same_NBCS: step s <= t belongs to the run of step t.
    old_NBC: the step's run began before the chunk.
  """

  same_NBCS: jax.Array
  old_NBC: jax.Array


def add(
  w_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  reset_BT: Bool[Array, 'B T'],
  *,
  chunk: int = CHUNK,
) -> tuple[Float[Array, 'B H K V'], Float[Array, 'B T H V']]:
  """Writes every value as it is.

  Args:
    w_BHKV: the memory before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    reset_BT: where the memory is 0 before the step is written.
    chunk: C, the number of steps of a chunk at most.

  Returns:
    The memory after the last step, and what each step reads.
  """
  k, v = _chunks(k_BTHK, chunk), _chunks(v_BTHV, chunk)

  def write(w_BHKV: jax.Array, v_BHCV: jax.Array) -> jax.Array:
    del w_BHKV
    return v_BHCV

  q = _chunks(q_BTHK, chunk)
  w_BHKV, y = _read(w_BHKV, q, k, write, v, _runs(reset_BT, chunk))
  return w_BHKV, _steps(y, q_BTHK.shape[1])


def correct(
  w_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  beta_BTH: Float[Array, 'B T H'],
  reset_BT: Bool[Array, 'B T'],
  *,
  chunk: int = CHUNK,
) -> tuple[Float[Array, 'B H K V'], Float[Array, 'B T H V']]:
  """Writes what the memory lacks at each key; see `add`.

  Args:
    beta_BTH: the share of it that is written. Memories stay bounded where
      beta |k|^2 <= 2.
  """
  k, v = _chunks(k_BTHK, chunk), _chunks(v_BTHV, chunk)
  beta_NBHC1 = _chunks(beta_BTH[..., None], chunk)
  runs = _runs(reset_BT, chunk)
  before = jnp.tril(runs.same_NBCS, -1)[:, :, None]
  lower = beta_NBHC1 * jnp.einsum('NBHCK,NBHSK->NBHCS', k, k) * before
  old = runs.old_NBC[:, :, None, :, None]
  known = jnp.concatenate([beta_NBHC1 * v, beta_NBHC1 * old * k], axis=4)
  solved = lax.linalg.triangular_solve(
    lower, known, left_side=True, lower=True, unit_diagonal=True
  )
  of_v, of_k = jnp.split(solved, [v.shape[4]], axis=4)

  def write(w_BHKV: jax.Array, x: tuple[jax.Array, jax.Array]) -> jax.Array:
    of_v, of_k = x
    return of_v - jnp.einsum('BHCK,BHKV->BHCV', of_k, w_BHKV)

  q = _chunks(q_BTHK, chunk)
  w_BHKV, y = _read(w_BHKV, q, k, write, (of_v, of_k), runs)
  return w_BHKV, _steps(y, q_BTHK.shape[1])


def _read(
  w_BHKV: jax.Array,
  q: jax.Array,
  k: jax.Array,
  write: Callable[[jax.Array, Any], jax.Array],
  x: Any,
  runs: Runs,
) -> tuple[jax.Array, jax.Array]:
  """Passes the memory from chunk to chunk, then reads all chunks at once.

  Args:
    w_BHKV: the memory before.
    q: queries, `(N, B, H, C, K)`.
    k: keys, of the same shape.
    write: the memory before a chunk and what the chunk has of x to its u.
    x: a tree of arrays `(N, ...)`.
    runs: of the chunks.
  """
  last = runs.same_NBCS[:, :, -1][:, :, None, :, None]
  kept = runs.old_NBC[:, :, -1][:, :, None, None, None]

  def one(w: jax.Array, chunk: Any) -> tuple[jax.Array, Any]:
    k, x, kept = chunk
    u = write(w, x)
    return kept * w + jnp.einsum('BHCK,BHCV->BHKV', k, u), (w, u)

  w_BHKV, (w, u) = lax.scan(one, w_BHKV, (last * k, x, kept))
  old = runs.old_NBC[:, :, None, :, None]
  scores = jnp.einsum('NBHCK,NBHSK->NBHCS', q, k) * runs.same_NBCS[:, :, None]
  y = jnp.einsum('NBHCK,NBHKV->NBHCV', old * q, w)
  y += jnp.einsum('NBHCS,NBHSV->NBHCV', scores, u)
  return w_BHKV, y


def _steps(y: jax.Array, length: int) -> jax.Array:
  """`(N, B, H, C, V)` to `(B, T, H, V)`."""
  _, batch, heads, _, width = y.shape
  y = jnp.moveaxis(y, (0, 3), (1, 2)).reshape(batch, -1, heads, width)
  return y[:, :length]


def _runs(reset_BT: jax.Array, chunk: int) -> Runs:
  run_NBC = jnp.cumsum(_cut(reset_BT, chunk).astype(jnp.int32), axis=2)
  same_NBCS = jnp.tril(run_NBC[..., None] == run_NBC[:, :, None])
  return Runs(same_NBCS.astype(jnp.float32), (run_NBC == 0).astype(jnp.float32))


def _chunks(x_BTHK: jax.Array, chunk: int) -> jax.Array:
  """`(B, T, H, K)` to `(N, B, H, C, K)`."""
  return jnp.swapaxes(_cut(x_BTHK, chunk), 2, 3)


def _cut(x_BT: jax.Array, chunk: int) -> jax.Array:
  """`(B, T, ...)` to `(N, B, C, ...)`; zeros at the end write nothing."""
  batch, length, *rest = x_BT.shape
  chunks = -(-length // chunk)
  widths = [(0, 0), (0, -length % chunks)] + [(0, 0)] * len(rest)
  x_BT = jnp.pad(x_BT, widths)
  return jnp.moveaxis(x_BT.reshape(batch, chunks, -1, *rest), 1, 0)
