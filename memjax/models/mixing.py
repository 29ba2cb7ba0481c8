"""What memories since 2022 have in common before and after their state.

    tail, y = ShortConvolution(x)    y_t = b + sum_j kernel_(W-1-j) x_(t-j)
    dt, g   = Decay(a)               dt = softplus(a + bias), g = -exp(r) dt
    unit(k)                          k / |k|_2
    last, p = shift(last, x)         p_t = x_(t-1)
    y = HeadNorm(y)                  mean 0, variance 1 over each head, affine

Papers: short convolutions and the decay of a step size, Gu & Dao 2023, Mamba,
https://arxiv.org/abs/2312.00752, section 3.6.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.ops.convolution import convolve
from memjax.ops.decays import CHANNEL_CHUNK
from memjax.types import Reset_BT, Sequence_BTD

SMALLEST = 1e-6  # of a squared length that divides


class ShortConvolution(nn.Module):
  """Each channel reads its own last W inputs; the older W - 1 are its carry.

  The kernel is uniform in ±1/sqrt(W), the bias 0.

  Attributes:
    taps: W.
    bias: whether b exists.
  """

  taps: int
  bias: bool = False

  @nn.compact
  def __call__(
    self, tail_BWD: jax.Array, x: Sequence_BTD, reset_BT: Reset_BT
  ) -> tuple[jax.Array, Sequence_BTD]:
    width = x.shape[-1]

    def draw(key: jax.Array) -> jax.Array:
      bound = self.taps**-0.5
      shape = self.taps, width
      return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    kernel_WD = self.param('kernel', draw)
    tail_BWD, y = convolve(tail_BWD, x, kernel_WD, reset_BT)
    if self.bias:
      zeros = nn.initializers.zeros_init()
      y += self.param('bias', zeros, (width,))[None, None]
    return tail_BWD, y


class Decay(nn.Module):
  """A step size and a log-decay of each head, from one number of each head.

  exp(r), the rate, is uniform in [1, 16]; the step size at a = 0 is
  log-uniform in [0.001, 0.1], at least 0.0001.
  """

  @nn.compact
  def __call__(self, a_BTH: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The step size dt and the log-decay g, `(B, T, H)`, float32."""
    heads = a_BTH.shape[-1:]
    log_rate_H = self.param('log_rate', draw_log_rate, heads)
    bias_H = self.param('bias', draw_step_bias, heads)
    a_BTH = a_BTH.astype(jnp.float32)
    dt_BTH = nn.softplus(a_BTH + bias_H.astype(jnp.float32)[None, None])
    rate_H = jnp.exp(log_rate_H.astype(jnp.float32))
    return dt_BTH, -rate_H[None, None] * dt_BTH


def draw_log_rate(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """r, with exp(r) uniform in [1, 16]."""
  return jnp.log(jax.random.uniform(key, shape, jnp.float32, 1.0, 16.0))


def draw_step_bias(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Its softplus is log-uniform in [0.001, 0.1], at least 0.0001."""
  low, high = np.log(1e-3), np.log(0.1)
  dt = jnp.exp(jax.random.uniform(key, shape, jnp.float32, low, high))
  dt = jnp.maximum(dt, 1e-4)
  return dt + jnp.log(-jnp.expm1(-dt))  # the inverse of softplus


def unit(x: jax.Array) -> jax.Array:
  """The vectors of the last axis divided by their length."""
  squares = jnp.square(x).sum(axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(squares + SMALLEST)


def shift(
  last_BD: jax.Array, x: Sequence_BTD, reset_BT: Reset_BT
) -> tuple[jax.Array, Sequence_BTD]:
  """The last input, which is the carry, and the input before each step.

  That is 0 where a run begins.
  """
  first = last_BD[:, None].astype(x.dtype)
  before = jnp.concatenate([first, x[:, :-1]], axis=1)
  before = jnp.where(reset_BT[..., None], 0, before)
  return x[:, -1].astype(last_BD.dtype), before


class HeadNorm(nn.Module):
  """Each head with mean 0 and variance 1, then a gain and a bias of each unit.

  Attributes:
    epsilon: added to the variance.
    gain: at the start.
  """

  epsilon: float
  gain: float = 1.0

  @nn.compact
  def __call__(self, y_BTHV: jax.Array, dtype: Any) -> Sequence_BTD:
    """`(B, T, H, V)` to `(B, T, H V)` of this type."""
    norm = nn.LayerNorm(self.epsilon, use_bias=False, use_scale=False)
    y = norm(y_BTHV).reshape(*y_BTHV.shape[:2], -1).astype(dtype)
    start = nn.initializers.constant(self.gain)
    gain = self.param('scale', start, y.shape[2:])
    zeros = nn.initializers.zeros_init()
    bias = self.param('bias', zeros, y.shape[2:])
    return y * gain[None, None] + bias[None, None]


def no_inputs(batch_size: int, taps: int, width: int) -> jax.Array:
  """The carry of a short convolution that has read nothing."""
  return jnp.zeros((batch_size, taps - 1, width))


def check_taps(taps: int) -> None:
  """Requires a convolution with a carry.

  Raises:
    ConfigError: fewer than two taps.
  """
  require(taps >= 2, 'taps', taps, 'must be at least 2')


def check_channel_chunk(chunk: int) -> None:
  """Requires a chunk that decays of channels allow (`ops/decays.py`).

  Raises:
    ConfigError: the chunk is too short or too long.
  """
  rule = f'must be from 1 to {CHANNEL_CHUNK}'
  require(1 <= chunk <= CHANNEL_CHUNK, 'chunk', chunk, rule)
