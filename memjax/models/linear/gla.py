"""Gated linear attention: outer products that each key channel forgets.

With H heads, keys of width K and values of width V = 2 K, H V = D:

    q, k, v = W_qkv x,   q <- q / sqrt(K)
    a_t = sigma(W_2 W_1 x_t + c)^(1 / 16)                      (K,) per head
    w_t = diag(a_t) w_(t-1) + k_t v_t',   y_t = w_t' q_t

and the output is W_o [rms(y) * silu(W_g x)]_heads, rms with a gain of V
numbers.

Paper: Yang et al. 2023, https://arxiv.org/abs/2312.06635.
Carry: w `(B, H, K, V)`, float32.
Cost per step: D H (2 K + 3 V) + R (D + H K) with rank R of W_1, and
H (2 K V + C (K + V)) in chunks of C steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases but c, 0; gains 1.
Deviations: a decay below exp(-5) counts as exp(-5) (`ops/decays.py`), which the
power 1 / 16 leaves out of reach. Norms, residuals and the MLP are the Stack's.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import check_channel_chunk
from memjax.ops.decays import CHANNEL_CHUNK
from memjax.ops.linear_attention import add
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EPSILON = 1e-5  # of the norm
POWER = 16


class GLA(Memory):
  """Adds up outer products, at decays of each key channel.

  Intermediates: a as `forget_gate`, `(B, T, H K)`.

  Attributes:
    width: D.
    head_width: V, even; K is half of it.
    rank: R, of the kernel that makes the decays.
    chunk: C, the number of steps read at once, at most 16.
  """

  width: int
  head_width: int
  rank: int = 16
  chunk: int = CHANNEL_CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    even = self.head_width % 2 == 0
    require(even, 'head_width', self.head_width, 'must be even')
    require(self.rank >= 1, 'rank', self.rank, 'must be at least 1')
    check_channel_chunk(self.chunk)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    heads = number_of_heads(self.width, self.head_width)
    keys = self.head_width // 2
    return jnp.zeros((batch_size, heads, keys, self.head_width))

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
    _, heads, keys, values = carry.shape
    qkv = Dense(heads * (2 * keys + values), False, name='qkv')(x)
    q, k, v = (
      a.astype(jnp.float32).reshape(*x.shape[:2], heads, -1)
      for a in jnp.split(qkv, [heads * keys, 2 * heads * keys], axis=-1)
    )
    low = Dense(self.rank, False, name='decay_low')(x)
    a = Dense(heads * keys, name='decay_input')(low).astype(jnp.float32)
    log_decay = nn.log_sigmoid(a) / POWER
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay))
    after, y_BTHV = add(
      carry,
      q * keys**-0.5,
      k,
      v,
      reset_BT,
      log_decay=log_decay.reshape(*x.shape[:2], heads, keys),
      chunk=self.chunk,
    )
    y_BTHV = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTHV)
    y_BTI = y_BTHV.reshape(*x.shape[:2], -1).astype(x.dtype)
    gate = nn.silu(Dense(y_BTI.shape[-1], False, name='gate')(x))
    return after, Dense(self.width, False, name='output')(y_BTI * gate)
