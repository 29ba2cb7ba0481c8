"""Attention of the steps of an answer to the steps of its source.

    a_ts = v · tanh(q_t + k_s)   additive
    a_ts = q_t · k_s             dot
    o_t  = sum_s softmax_s(a_t) e_s

Query t and key s meet if they have the same number. A query without a key
reads 0. Scores are float32, and exist for some queries at a time, in the
backward pass too.
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from memjax.ops.tiled_attention import UNSEEN

ADDITIVE, DOT = 'additive', 'dot'
MOST = 1 << 22  # numbers that the scores of a chunk of queries take


def cross_attention(
  q_BTD: Float[Array, 'B T D'],
  k_BSD: Float[Array, 'B S D'],
  e_BSD: Float[Array, 'B S D'],
  number_BT: Int[Array, 'B T'],
  number_BS: Int[Array, 'B S'],
  v_D: Float[Array, 'D'] | None = None,
) -> Float[Array, 'B T D']:
  """What each query reads.

  Args:
    q_BTD: queries.
    k_BSD: keys.
    e_BSD: what is read.
    number_BT: of each query.
    number_BS: of each key.
    v_D: v of the additive score; None for the dot product.
  """
  rows, length, width = q_BTD.shape
  sums = rows * k_BSD.shape[1] * (1 if v_D is None else width)
  chunk = max(1, min(length, MOST // sums))
  spare = -length % chunk

  def read(q_BCD: jax.Array, number_BC: jax.Array) -> jax.Array:
    share_BCS = shares(q_BCD, k_BSD, number_BC, number_BS, v_D)
    return jnp.einsum('bcs,bsd->bcd', share_BCS.astype(e_BSD.dtype), e_BSD)

  if chunk == length:
    return read(q_BTD, number_BT)

  def cut(x: jax.Array) -> jax.Array:
    x = jnp.pad(x, [(0, 0), (0, spare)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(rows, -1, chunk, *x.shape[2:]), 1, 0)

  read_again = jax.checkpoint(read)
  chunks = cut(q_BTD), cut(number_BT)
  _, o = lax.scan(lambda _, xs: (None, read_again(*xs)), None, chunks)
  return jnp.moveaxis(o, 0, 1).reshape(rows, -1, width)[:, :length]


def shares(
  q_BTD: jax.Array,
  k_BSD: jax.Array,
  number_BT: jax.Array,
  number_BS: jax.Array,
  v_D: jax.Array | None = None,
) -> Float[Array, 'B T S']:
  """The softmax of `cross_attention`, 0 where query and key do not meet."""
  if v_D is None:
    score_BTS = jnp.einsum(
      'btd,bsd->bts', q_BTD, k_BSD, preferred_element_type=jnp.float32
    )
  else:
    sum_BTSD = jnp.tanh(q_BTD[:, :, None] + k_BSD[:, None])
    score_BTS = jnp.einsum(
      'btsd,d->bts', sum_BTSD, v_D, preferred_element_type=jnp.float32
    )
  meet_BTS = number_BT[:, :, None] == number_BS[:, None]
  share_BTS = jax.nn.softmax(jnp.where(meet_BTS, score_BTS, UNSEEN))
  return jnp.where(meet_BTS, share_BTS, 0)
