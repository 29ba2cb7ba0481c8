"""Based: linear attention whose kernel is near the exponential of a softmax.

With H heads of V, queries and keys of K numbers, and s = q · k / sqrt(K):

    q, k, v = W_qkv x
    y_t = sum_(s<=t) kappa(q_t, k_s) v_s / sum_(s<=t) kappa(q_t, k_s)
    kappa = 1 + s + s^2 / 2,  the Taylor series of exp(s)

and the output is W_o [y]_heads. kappa is at least 1/2, so the divisor is never
0. It is the product of F = 1 + K + K (K + 1) / 2 features of the query and of
the key (`ops/taylor.py`), and the memory is as large as F says.

Paper: Arora et al. 2024, https://arxiv.org/abs/2402.18668.
Carry: w `(B, H, F, V + 1)` float32, whose last column is the divisor's.
Cost per step: D H (2 K + V) + D H V, and H (2 F V + C (K + V)) in chunks of C
steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases.
Deviations: the code of the paper has K * K features of second order, two of
each product i < j. The paper alternates these layers with short convolutions
and attention in a small window: a pattern of the Stack. Norms, residuals and
the MLP are the Stack's.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.ops.taylor import add_taylor, number_of_features
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 64


class Based(Memory):
  """Attends to all steps by the first terms of an exponential.

  Attributes:
    width: D.
    head_width: V.
    feature_width: K, of queries and keys.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  feature_width: int = 16
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    for field in ('feature_width', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    heads = number_of_heads(self.width, self.head_width)
    features = number_of_features(self.feature_width)
    return jnp.zeros((batch_size, heads, features, self.head_width + 1))

  @nn.compact
  def __call__(
    self,
    carry: jax.Array,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[jax.Array, Sequence_BTD]:
    del train
    heads, keys = carry.shape[1], self.feature_width
    columns = heads * (2 * keys + self.head_width)
    qkv = Dense(columns, False, name='qkv')(x).astype(jnp.float32)
    q_BTHK, k_BTHK, v_BTHV = (
      a.reshape(*x.shape[:2], heads, -1)
      for a in jnp.split(qkv, [heads * keys, 2 * heads * keys], axis=-1)
    )
    after, y_BTHV = add_taylor(
      carry,
      q_BTHK * keys**-0.5,
      k_BTHK,
      jnp.concatenate([v_BTHV, jnp.ones_like(v_BTHV[..., :1])], axis=3),
      reset_BT,
      chunk=self.chunk,
    )
    y_BTHV = y_BTHV[..., :-1] / y_BTHV[..., -1:]
    y_BTI = y_BTHV.reshape(*x.shape[:2], -1).astype(x.dtype)
    return after, Dense(self.width, False, name='output')(y_BTI)
