"""Mamba-2: a decaying matrix of each head, written at keys all heads share.

With E = H P inner units in H heads, N numbers of a key and W taps of a short
convolution (`conv`):

    [z, u, dt] = W_in x                        widths E, E + 2 N, H
    [x, b, c] = silu(conv(u) + bias)
    dt_t <- softplus(dt_t + c_dt),   a_t = exp(-exp(r) dt_t)           per head
    w_t = a_t w_(t-1) + b_t (dt_t x_t)',   y_t = w_t' c_t + d x_t      per head

and the output is W_out rms([y]_heads * silu(z)), rms over all E units with a
gain.

Paper: Dao & Gu 2024, https://arxiv.org/abs/2405.21060.
Carry: w `(B, H, N, P)` and the tail of the convolution `(B, W - 1, E + 2 N)`,
float32.
Cost per step: D (2 E + 2 N + H) + D E + W (E + 2 N), and
2 N E + C H (N + P) in chunks of C steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases but the
convolution's; d 1; gains 1; r and c_dt as in `models/mixing.py`.
Deviations: all heads share one group of keys. Norms and residuals are the
Stack's; the paper's blocks have no MLP.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.delta_net import Matrix
from memjax.models.mixing import Decay, ShortConvolution, check_taps, no_inputs
from memjax.ops.linear_attention import add
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32
EPSILON = 1e-5  # of the norm


class Mamba2(Memory):
  """Adds up what it reads, at decays that each step chooses.

  Intermediates: a as `forget_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    head_width: P.
    state_width: N.
    expand: E / D; E is rounded up to whole heads.
    taps: W, of the short convolution, at least 2.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  state_width: int = 64
  expand: int = 2
  taps: int = 4
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_taps(self.taps)
    for field in ('state_width', 'expand', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def _heads(self) -> int:
    return number_of_heads(self.expand * self.width, self.head_width)

  def initial_carry(self, batch_size: int) -> Any:
    heads, keys, values = self._heads(), self.state_width, self.head_width
    return Matrix(
      jnp.zeros((batch_size, heads, keys, values)),
      no_inputs(batch_size, self.taps, heads * values + 2 * keys),
    )

  @nn.compact
  def __call__(
    self,
    carry: Any,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Any, Sequence_BTD]:
    del train
    heads, keys = self._heads(), self.state_width
    inner = heads * self.head_width
    widths = inner, inner + 2 * keys, heads
    z, u, dt = jnp.split(
      Dense(sum(widths), False, name='input')(x),
      [widths[0], sum(widths[:2])],
      axis=-1,
    )
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, u = convolution(carry.tail_BWI, u, reset_BT)
    value, key, query = jnp.split(
      nn.silu(u).astype(jnp.float32), [inner, inner + keys], axis=-1
    )
    dt_BTH, log_decay_BTH = Decay(name='decay')(dt)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay_BTH))
    value_BTHP = value.reshape(*x.shape[:2], heads, self.head_width)
    shape = *x.shape[:2], heads, keys
    carry, y_BTHP = self.remember(
      carry,
      x,
      jnp.broadcast_to(query[:, :, None], shape),
      jnp.broadcast_to(key[:, :, None], shape),
      dt_BTH[..., None] * value_BTHP,
      reset_BT,
      log_decay_BTH,
    )
    skip_H = self.param('skip', nn.initializers.ones_init(), (heads,))
    y_BTHP += skip_H.astype(jnp.float32)[None, None, :, None] * value_BTHP
    y_BTE = y_BTHP.reshape(*x.shape[:2], inner).astype(x.dtype)
    y_BTE = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTE * nn.silu(z))
    output = Dense(self.width, False, name='output')(y_BTE)
    return carry._replace(tail_BWI=tail), output

  def remember(
    self,
    carry: Any,
    x: Inputs_BTF,
    q_BTHN: jax.Array,
    k_BTHN: jax.Array,
    v_BTHP: jax.Array,
    reset_BT: Reset_BT,
    log_decay_BTH: jax.Array,
  ) -> tuple[Any, jax.Array]:
    """The carry with the memory after the segment, and what each step reads."""
    del x
    steps = q_BTHN, k_BTHN, v_BTHP, reset_BT
    w_BHNP, y_BTHP = add(
      carry.w_BHKV, *steps, log_decay=log_decay_BTH, chunk=self.chunk
    )
    return carry._replace(w_BHKV=w_BHNP), y_BTHP
