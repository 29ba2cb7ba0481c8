"""Linear attention with the second-order Taylor series of the exponential.

    kappa(q, k) = 1 + q · k + (q · k)^2 / 2
    y_t = sum_(s<=t) kappa(q_t, k_s) v_s

kappa is phi(q) · phi(k) with F = 1 + K + K (K + 1) / 2 features,

    phi(a) = [1, a_i, a_i a_j for i < j, a_i^2 / sqrt(2)]

and the memory is w = sum phi(k_s) v_s', `(F, V)`. T steps are read in chunks of
C. Among the steps of a chunk, kappa comes from q · k, without features. They
are made for one chunk at a time, to read the memory before it and to write the
one after it, and again in the backward pass.

Cost per step and head: 2 F V + C (K + V).
Kept for the backward pass: a memory for each chunk, T F V / C floats.

Further letters: F features, V width of the values, C steps of a chunk.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float
import numpy as np

from memjax.ops.chunks import cut_heads, join_chunks
from memjax.ops.decays import OfHeads, shares


def number_of_features(keys: int) -> int:
  """F, of keys of this width."""
  return 1 + keys + keys * (keys + 1) // 2


def features(a: Float[Array, '... K']) -> Float[Array, '... F']:
  """phi."""
  one, two = np.triu_indices(a.shape[-1])
  halved = jnp.asarray(np.where(one == two, 0.5**0.5, 1), a.dtype)
  halved = halved.reshape((1,) * (a.ndim - 1) + (-1,))
  pairs = halved * a[..., one] * a[..., two]
  return jnp.concatenate([jnp.ones_like(a[..., :1]), a, pairs], axis=-1)


def add_taylor(
  w_BHFV: Float[Array, 'B H F V'],
  q_BTHK: Float[Array, 'B T H K'],
  k_BTHK: Float[Array, 'B T H K'],
  v_BTHV: Float[Array, 'B T H V'],
  reset_BT: Bool[Array, 'B T'],
  *,
  chunk: int,
) -> tuple[Float[Array, 'B H F V'], Float[Array, 'B T H V']]:
  """Reads T steps.

  Args:
    w_BHFV: the memory before.
    q_BTHK: queries.
    k_BTHK: keys.
    v_BTHV: values.
    reset_BT: where the memory is 0 before the step is written.
    chunk: C, the number of steps of a chunk at most.

  Returns:
    The memory after the last step, and y.
  """
  left = shares(reset_BT, None, chunk)
  assert isinstance(left, OfHeads)

  @jax.checkpoint
  def one(w: jax.Array, steps: Any) -> tuple[jax.Array, jax.Array]:
    q, k, v, same, old = steps
    s = jnp.einsum('BHCK,BHSK->BHCS', q, k)
    y = jnp.einsum('BHCS,BHSV->BHCV', (1 + s + s**2 / 2) * same, v)
    y += jnp.einsum('BHCF,BHFV->BHCV', old[..., None] * features(q), w)
    last = same[:, :, -1, :, None] * features(k)
    kept = old[:, :, -1, None, None]
    return kept * w + jnp.einsum('BHCF,BHCV->BHFV', last, v), y

  q, k, v = (cut_heads(x, chunk) for x in (q_BTHK, k_BTHK, v_BTHV))
  masks = (a.astype(v.dtype) for a in (left.since_NBHCS, left.old_NBHC))
  steps = (q, k, v, *masks)
  w_BHFV, y = lax.scan(one, w_BHFV, steps)
  return w_BHFV, join_chunks(y, q_BTHK.shape[1])
