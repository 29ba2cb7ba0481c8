"""Linear attention: sums of outer products of keys and values, normalised.

With phi(a) = elu(a) + 1 and for each head:

    w_t = w_(t-1) + phi(k_t) v_t',   z_t = z_(t-1) + phi(k_t)
    y_t = w_t' phi(q_t) / (z_t · phi(q_t))

q, k and v are linear in x; the output is W_o [y]_heads.

Paper: Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236; the additive
fast weights of Schmidhuber 1992, https://doi.org/10.1162/neco.1992.4.1.131.
A segment is read in chunks of C steps (`ops/linear_attention.py`).
Carry: w `(B, H, K, K)` and z `(B, H, K)`, float32.
Cost per step: 4 B D D + B H (2 K K + 2 C K); linear in T.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: z · phi(q) counts as 1e-6 where it is less; no dropout. Norms,
residuals and the MLP are the Stack's.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.ops.linear_attention import CHUNK, add
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

LEAST = 1e-6  # of a divisor


class Sums(NamedTuple):
  """What linear attention remembers.

  Attributes:
    w_BHKK: float32 sums of outer products of keys and values.
    z_BHK: float32 sums of keys.
  """

  w_BHKK: jax.Array
  z_BHK: jax.Array


class LinearAttention(Memory):
  """Adds up outer products and divides by what it has added up.

  Attributes:
    width: D.
    head_width: K.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Sums:
    heads = number_of_heads(self.width, self.head_width)
    keys = batch_size, heads, self.head_width
    return Sums(jnp.zeros((*keys, keys[-1])), jnp.zeros(keys))

  @nn.compact
  def __call__(
    self,
    carry: Sums,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Sums, Sequence_BTD]:
    del train
    q_BTHK, k_BTHK, v_BTHK = project(x, self.width, self.head_width)
    ones_BTH1 = jnp.ones_like(v_BTHK[..., :1])
    w_BHKV, y_BTHV = add(
      jnp.concatenate([carry.w_BHKK, carry.z_BHK[..., None]], axis=3),
      nn.elu(q_BTHK) + 1,
      nn.elu(k_BTHK) + 1,
      jnp.concatenate([v_BTHK, ones_BTH1], axis=3),
      reset_BT,
      chunk=self.chunk,
    )
    y_BTHK = y_BTHV[..., :-1] / jnp.maximum(y_BTHV[..., -1:], LEAST)
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1).astype(x.dtype)
    after = Sums(w_BHKV[..., :-1], w_BHKV[..., -1])
    return after, Dense(self.width, name='output')(y_BTI)


def project(
  x: Inputs_BTF, width: int, head_width: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Queries, keys and values `(B, T, H, K)`, float32."""
  heads = number_of_heads(width, head_width)
  qkv = Dense(3 * heads * head_width, name='qkv')(x).astype(jnp.float32)
  qkv = qkv.reshape(*x.shape[:2], 3, heads, head_width)
  return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
