"""What is left of a chunk's writes, and of the memory before it.

A memory w `(K, V)` decays by a_t, one number or one for each key channel. Let
A_t be the product of the chunk's decays up to t and A_ts = A_t / A_s.

    scores       (A_ts q_t) · k_s          of steps s <= t of one run
    old_queries  A_t q_t                   read the memory before the chunk
    last_keys    A_Cs k_s                  write the memory after it
    kept         A_C                       of the memory before, after the chunk

Decays are given as logarithms of at most 0. With one number a step, each A_ts
is the exponential of a sum of at most 0, and nothing overflows. With one for
each channel, A_ts has to be a product of a factor of t and one of s, so that
scores are a product of matrices,

    A_ts = exp(G_t - G_m) exp(G_m - G_s),   G_t = sum of log a up to t

where m is the middle of the chunk. Chunks have at most 16 steps then, and
a decay below exp(-5) counts as exp(-5): no exponent is beyond 40. A step's
memory is then below 1 % after one step, as it is with any smaller decay.

A reset in a chunk is a mask: products of steps of different runs are 0, and the
memory before counts only up to the first reset.

Queries and keys are `(N, B, H, C, K)`, scores `(N, B, H, C, C)`.

Further letters: N chunks, C steps of a chunk.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from memjax.ops.chunks import cut_chunks, cut_heads

LEAST_LOG_DECAY = -5.0  # of a channel
CHANNEL_CHUNK = 16  # steps, with a decay for each channel


class OfHeads(NamedTuple):
  """One decay for each head; H is 1 where nothing decays.

  Attributes:
    since_NBHCS: A_ts, 0 where step s is later or of another run.
    old_NBHC: A_t, 0 after a reset.
  """

  since_NBHCS: jax.Array
  old_NBHC: jax.Array

  def scores(self, q: jax.Array, k: jax.Array) -> jax.Array:
    return jnp.einsum('NBHCK,NBHSK->NBHCS', q, k) * self.since_NBHCS

  def old_queries(self, q: jax.Array) -> jax.Array:
    return self.old_NBHC[..., None] * q

  def last_keys(self, k: jax.Array) -> jax.Array:
    return self.since_NBHCS[:, :, :, -1][..., None] * k

  def kept(self) -> jax.Array:
    """`(N, B, H, 1, 1)`."""
    return self.old_NBHC[:, :, :, -1][..., None, None]


class OfChannels(NamedTuple):
  """One decay for each key channel.

  Attributes:
    same_NBCS: 1 where step s <= t is of t's run, else 0.
    rising_NBHCK: exp(G_t - G_m).
    falling_NBHCK: exp(G_m - G_s).
    old_NBHCK: A_t, 0 after a reset.
    last_NBHCK: A_Cs, 0 before the last reset.
  """

  same_NBCS: jax.Array
  rising_NBHCK: jax.Array
  falling_NBHCK: jax.Array
  old_NBHCK: jax.Array
  last_NBHCK: jax.Array

  def scores(self, q: jax.Array, k: jax.Array) -> jax.Array:
    q, k = q * self.rising_NBHCK, k * self.falling_NBHCK
    return jnp.einsum('NBHCK,NBHSK->NBHCS', q, k) * self.same_NBCS[:, :, None]

  def old_queries(self, q: jax.Array) -> jax.Array:
    return self.old_NBHCK * q

  def last_keys(self, k: jax.Array) -> jax.Array:
    return self.last_NBHCK * k

  def kept(self) -> jax.Array:
    """`(N, B, H, K, 1)`."""
    return self.old_NBHCK[:, :, :, -1][..., None]


Shares: TypeAlias = OfHeads | OfChannels


def chunk_size(log_decay: jax.Array | None, chunk: int) -> int:
  """The largest number of steps of a chunk with these decays."""
  of_channels = log_decay is not None and log_decay.ndim == 4
  return min(chunk, CHANNEL_CHUNK) if of_channels else chunk


def shares(
  reset_BT: jax.Array, log_decay: jax.Array | None, chunk: int
) -> Shares:
  """What is left in chunks of at most this number of steps.

  Args:
    reset_BT: where the memory is 0 before the step is written.
    log_decay: `(B, T, H)` or `(B, T, H, K)`, at most 0; None: no decay.
    chunk: C, as `chunk_size` returns it.
  """
  run_NBC = jnp.cumsum(cut_chunks(reset_BT, chunk).astype(jnp.int32), axis=2)
  same = jnp.tril(run_NBC[..., None] == run_NBC[:, :, None])[:, :, None]
  old = (run_NBC == 0)[:, :, None]
  if log_decay is None:
    return OfHeads(same.astype(jnp.float32), old.astype(jnp.float32))
  # The decay of a step with a reset is not used: all before it is forgotten.
  reset = reset_BT.reshape(*reset_BT.shape, *(1,) * (log_decay.ndim - 2))
  log_decay = jnp.where(reset, 0, log_decay)
  if log_decay.ndim == 4:
    return _of_channels(same[:, :, 0], old[:, :, 0], log_decay, chunk)
  log_NBHC = jnp.cumsum(cut_heads(log_decay, chunk), axis=3)
  since = log_NBHC[..., None] - log_NBHC[..., None, :]
  # The exponential must not see masked differences: they can be so large that
  # its gradient is infinity times 0.
  since = jnp.where(same, jnp.exp(jnp.where(same, since, 0)), 0)
  return OfHeads(since, jnp.where(old, jnp.exp(log_NBHC), 0))


def _of_channels(
  same_NBCS: jax.Array, old_NBC: jax.Array, log_decay: jax.Array, chunk: int
) -> OfChannels:
  log_decay = jnp.maximum(log_decay, LEAST_LOG_DECAY)
  log_NBHCK = jnp.cumsum(cut_heads(log_decay, chunk), axis=3)
  steps = log_NBHCK.shape[3]
  middle = log_NBHCK[:, :, :, steps // 2, None]
  since_last = log_NBHCK[:, :, :, -1:] - log_NBHCK
  last_NBC = same_NBCS[:, :, -1]
  return OfChannels(
    same_NBCS.astype(log_NBHCK.dtype),
    jnp.exp(log_NBHCK - middle),
    jnp.exp(middle - log_NBHCK),
    jnp.where(old_NBC[:, :, None, :, None], jnp.exp(log_NBHCK), 0),
    jnp.where(last_NBC[:, :, None, :, None], jnp.exp(since_last), 0),
  )
