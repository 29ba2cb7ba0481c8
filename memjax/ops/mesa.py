"""Regression on all steps so far, solved anew at each step.

    G_t = a_t G_(t-1) + beta_t k_t k_t',   R_t = a_t R_(t-1) + beta_t k_t v_t'
    y_t = R_t' (G_t + diag(l))^-1 q_t

y_t is what the best linear map from keys to values says about q_t: it has the
least squared error over the steps so far, each weighted by beta and by what the
decays leave of it, and a penalty l.

T steps are read in chunks of C, as in `ops/linear_attention.py`. The method of
conjugate gradients needs only products of G_t + diag(l) with one vector for
each step. These are reads of an additive memory: no G_t is formed but the first
of each chunk. The gradient is the solution of a second system with the same
matrix, which is symmetric; no iteration is kept for it.

Cost per step and head: K V + K K + C (K + V), and K K + 2 C K an iteration,
twice that with the backward pass.
Kept for the backward pass: both memories for each chunk.

Further letters: N chunks, C steps of a chunk, V width of the values.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.chunks import cut_heads, join_chunks
from memjax.ops.decays import shares

LEAST = 1e-30  # of a divisor


def regress(
  g_BHKK: Float[Array, 'B H K K'],
  r_BHKV: Float[Array, 'B H K V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  beta_BTH: Float[Array, 'B T H'],
  penalty_HK: Float[Array, 'H K'],
  reset_BT: Bool[Array, 'B T'],
  *,
  log_decay: Float[Array, 'B T H'],
  chunk: int,
  iterations: int,
) -> tuple[
  Float[Array, 'B H K K'], Float[Array, 'B H K V'], Float[Array, 'B T H V']
]:
  """Reads T steps.

  Args:
    g_BHKK: G before, symmetric.
    r_BHKV: R before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    beta_BTH: weights of the steps, at least 0.
    penalty_HK: l, above 0.
    reset_BT: where both are 0 before the step is written.
    log_decay: log a, at most 0.
    chunk: C, the number of steps of a chunk at most.
    iterations: of the method of conjugate gradients. K are enough but for
      round-off.

  Returns:
    G and R after the last step, and y.
  """
  q, k, v, beta = (
    cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, v_BTHV, beta_BTH)
  )
  left = shares(reset_BT, log_decay, chunk)
  keys = k.shape[4]
  written = beta[..., None] * jnp.concatenate([k, v], axis=4)

  both = jnp.concatenate([g_BHKK, r_BHKV], axis=3)
  steps = left.last_keys(k), written, left.kept()
  both, before = lax.scan(_after_chunk, both, steps)

  def read(p: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
    y = jnp.einsum('NBHCK,NBHKV->NBHCV', left.old_queries(p), w)
    return y + jnp.einsum('NBHCS,NBHSV->NBHCV', left.scores(p, k), u)

  def product(p: jax.Array) -> jax.Array:
    own = penalty_HK[None, None, :, None] * p
    return own + read(p, before[..., :keys], written[..., :keys])

  solve = functools.partial(conjugate_gradients, iterations=iterations)
  x = lax.custom_linear_solve(product, q, solve, symmetric=True)
  y = read(x, before[..., keys:], written[..., keys:])
  y = join_chunks(y, q_BTHK.shape[1])
  return both[..., :keys], both[..., keys:], y


def _after_chunk(w: jax.Array, chunk: Any) -> tuple[jax.Array, jax.Array]:
  """The memory after a chunk, and the one before it."""
  k, u, kept = chunk
  return kept * w + jnp.einsum('BHCK,BHCV->BHKV', k, u), w


def conjugate_gradients(
  product: Callable[[jax.Array], jax.Array], q: jax.Array, iterations: int
) -> jax.Array:
  """x with product(x) = q; each vector of the last axis is a system of its own.

  Args:
    product: with a symmetric matrix without eigenvalues of 0 or less.
    q: the right sides.
    iterations: number of products.
  """

  def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return (a * b).sum(-1, keepdims=True)

  def step(_: Any, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    x, rest, p = state
    length, image = dot(rest, rest), product(p)
    far = length / jnp.maximum(dot(p, image), LEAST)
    x, rest = x + far * p, rest - far * image
    p = rest + dot(rest, rest) / jnp.maximum(length, LEAST) * p
    return x, rest, p

  start = jnp.zeros_like(q), q, q
  return lax.fori_loop(0, iterations, step, start)[0]
