"""Mamba: a state space whose step size, input and readout depend on the input.

With E = e D channels, N numbers each, rank R = ceil(D / 16) and W taps of a
short convolution (`conv`):

    [u, z] = W_in x,   u <- silu(conv(u) + bias)
    [d, b, c] = W_x u                                   widths R, N, N
    dt = softplus(W_dt d + c_dt),   A = -exp(r)
    h_t = exp(dt_t A) h_(t-1) + dt_t b_t u_t,   y_t = c_t · h_t + s u_t

per channel, and the output is W_out (y * silu(z)).

Paper: Gu & Dao 2023, https://arxiv.org/abs/2312.00752.
Carry: h `(B, E, N)` and the tail of the convolution `(B, W - 1, E)`, float32.
Cost per step: 3 D E + E (2 R + 2 N + W) + 4 E N, and E N exponentials.
Parameters: exp(r_en) is n + 1, n = 0 ... N - 1; s 1; softplus(c_dt) log-uniform
in [0.001, 0.1]; W_dt uniform in ±1/sqrt(R); other kernels normal of variance
1 / rows, no further biases.
Deviations: none known. Norms and residuals are the Stack's; the paper's blocks
have no MLP.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import (
  ShortConvolution,
  check_taps,
  draw_step_bias,
  no_inputs,
)
from memjax.ops.selective import selective
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Channels(NamedTuple):
  """What Mamba remembers.

  Attributes:
    h_BEN: float32 state of each channel.
    tail_BWE: float32, the last inputs of the convolution.
  """

  h_BEN: jax.Array
  tail_BWE: jax.Array


class Mamba(Memory):
  """Every channel decays at rates that each step chooses.

  Intermediates: exp(dt a) as `forget_gate`, `(B, T, E N)`.

  Attributes:
    width: D.
    state_width: N.
    expand: e.
    taps: W, of the short convolution, at least 2.
  """

  width: int
  state_width: int = 16
  expand: int = 2
  taps: int = 4

  def __post_init__(self) -> None:
    check_taps(self.taps)
    for field in ('width', 'state_width', 'expand'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Channels:
    channels = self.expand * self.width
    return Channels(
      jnp.zeros((batch_size, channels, self.state_width)),
      no_inputs(batch_size, self.taps, channels),
    )

  @nn.compact
  def __call__(
    self,
    carry: Channels,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Channels, Sequence_BTD]:
    del train
    _, channels, numbers = carry.h_BEN.shape
    columns = Dense(2 * channels, False, name='input')(x)
    u, z = jnp.split(columns, 2, axis=-1)
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, u = convolution(carry.tail_BWE, u, reset_BT)
    u = nn.silu(u)
    rank = -(-self.width // 16)
    chosen = Dense(rank + 2 * numbers, False, name='selection')(u)
    low, b_BTN, c_BTN = jnp.split(
      chosen.astype(jnp.float32), [rank, rank + numbers], axis=-1
    )
    dt_BTE = self._step_size(low, channels)

    def rates(key: jax.Array) -> jax.Array:
      del key
      return jnp.tile(jnp.log(jnp.arange(1.0, numbers + 1)), channels)

    # A vector: weight decay leaves vectors alone.
    rate = self.param('log_rate', rates).astype(jnp.float32)
    a_EN = -jnp.exp(rate).reshape(channels, numbers)
    if wants_intermediates(self):
      kept_BTEN = jnp.exp(dt_BTE[..., None] * a_EN[None, None])
      kept = kept_BTEN.reshape(*x.shape[:2], channels * numbers)
      self.sow('intermediates', 'forget_gate', kept)
    u_BTE = u.astype(jnp.float32)
    h_BEN, y_BTE = selective(
      carry.h_BEN, dt_BTE, u_BTE, b_BTN, c_BTN, a_EN, reset_BT
    )
    skip_E = self.param('skip', nn.initializers.ones_init(), (channels,))
    y_BTE += skip_E.astype(jnp.float32)[None, None] * u_BTE
    gated = y_BTE.astype(x.dtype) * nn.silu(z)
    output = Dense(self.width, False, name='output')(gated)
    return Channels(h_BEN, tail), output

  def _step_size(self, low_BTR: jax.Array, channels: int) -> jax.Array:
    """dt, `(B, T, E)`, float32."""
    bound = float(np.sqrt(low_BTR.shape[-1])) ** -1

    def kernel(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
      return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    kernel_RE = self.param('step_kernel', kernel, (low_BTR.shape[-1], channels))
    bias_E = self.param('step_bias', draw_step_bias, (channels,))
    a_BTE = low_BTR @ kernel_RE.astype(jnp.float32)
    return nn.softplus(a_BTE + bias_E.astype(jnp.float32)[None, None])
