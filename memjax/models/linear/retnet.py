"""RetNet: outer products that each head forgets at its own fixed rate.

For head h = 0 ... H - 1, with the rotation R of pairs of numbers by the angles
theta_i = 10000^(-2 i / K), i = 0 ... K / 2 - 1:

    a_h = 1 - 2^(-5 - h)
    y_t = sum_(s<=t) a_h^(t-s) (R(t) q_t / sqrt(K)) · (R(s) k_s) v_s

and the output is W_o [norm(y) * silu(W_g x)]_heads, norm of mean 0 and variance
1 over each head, without parameters. Only t - s counts. So t and s are places
in the segment, and the memory w = sum_s a^(t-s) R(s - t) k_s v_s' is turned by
R(-T) at its end: no counter of steps is carried, and none grows.

Paper: Sun et al. 2023, https://arxiv.org/abs/2307.08621.
Carry: w `(B, H, K, V)`, float32; V is 2 K.
Cost per step: 2 D H (K + V) + D H V, and H (2 K V + C (K + V)) in chunks of C
steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases.
Deviations: the rotation is that of rotary positions, without the growing scale
of xPos, whose place the decay takes. Norms, residuals and the MLP are the
Stack's.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.linear_attention import add
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32
BASE = 10_000.0
EPSILON = 1e-5  # of the norm


class RetNet(Memory):
  """Adds up outer products that decay at fixed rates.

  Intermediates: a as `forget_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    head_width: K, even.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    even = self.head_width % 2 == 0
    require(even, 'head_width', self.head_width, 'must be even')
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, heads, self.head_width, 2 * self.head_width
    return jnp.zeros(shape)

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
    batch, length = x.shape[:2]
    q, k, v = jnp.split(
      Dense(heads * (2 * keys + values), False, name='qkv')(x).astype(
        jnp.float32
      ),
      [heads * keys, 2 * heads * keys],
      axis=-1,
    )
    q_BTHK, k_BTHK = (
      rotated(a.reshape(batch, length, heads, keys), np.arange(length))
      for a in (q, k)
    )
    log_decay_H = np.log1p(-(2.0 ** (-5 - np.arange(heads))))
    log_decay_BTH = jnp.broadcast_to(
      jnp.asarray(log_decay_H, jnp.float32), (batch, length, heads)
    )
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay_BTH))
    w_BHKV, y_BTHV = add(
      carry,
      q_BTHK * keys**-0.5,
      k_BTHK,
      v.reshape(batch, length, heads, values),
      reset_BT,
      log_decay=log_decay_BTH,
      chunk=self.chunk,
    )
    norm = nn.LayerNorm(EPSILON, use_bias=False, use_scale=False)
    y_BTI = norm(y_BTHV).reshape(batch, length, -1).astype(x.dtype)
    gate = nn.silu(Dense(y_BTI.shape[-1], False, name='gate')(x))
    # The next segment counts its places from 0: its step 0 is step T of this.
    keys_last = jnp.swapaxes(w_BHKV, 2, 3)[:, None]
    turned = rotated(keys_last, np.array([-length]))[:, 0]
    output = Dense(self.width, False, name='output')(y_BTI * gate)
    return jnp.swapaxes(turned, 2, 3), output


def rotated(x: jax.Array, place_T: np.ndarray) -> jax.Array:
  """The pairs (i, i + K / 2) of `(B, T, ..., K)`, turned by place times theta.

  The angles are computed in float64 when the program is traced.
  """
  half = x.shape[-1] // 2
  theta = BASE ** (-np.arange(half) / half)
  angle = place_T[:, None] * theta
  shape = (1, len(place_T)) + (1,) * (x.ndim - 3) + (half,)
  cos, sin = (
    jnp.asarray(f(angle).reshape(shape), x.dtype) for f in (np.cos, np.sin)
  )
  one, two = x[..., :half], x[..., half:]
  return jnp.concatenate([one * cos - two * sin, one * sin + two * cos], -1)
