"""The delta rule of 2024: unit keys, short convolutions, a norm on each read.

For each head, with W taps of a short convolution (`conv`):

    q, k, v = silu(conv(W_qkv x)),   q <- q / |q| / sqrt(K),   k <- k / |k|
    b_t = sigma(W_b x_t),            twice that where `negative`
    w_t = w_(t-1) + b_t k_t (v_t - w_(t-1)' k_t)',   y_t = w_t' q_t

and the output is W_o [rms(y)]_heads, rms with a gain of V numbers. The memory's
transition I - b k k' has the eigenvalue 1 - b at k: from 0 to 1, or from -1 to
1 where `negative`, which a single layer needs to track parity. With n writes a
step, w is corrected at n keys, one after another, each with its own k, v and b,
and read after the last: the transition is a product of n such factors.

Paper: Yang et al. 2024, https://arxiv.org/abs/2406.06484; eigenvalues below 0,
Grazzi et al. 2024, https://arxiv.org/abs/2411.12537; several writes a step,
DeltaProduct, Siems et al. 2025, https://arxiv.org/abs/2502.10297.
Carry: w `(B, H, K, V)` and the tail of the convolution
`(B, W - 1, H K + n H (K + V))`, float32.
Cost per step: (W + D) (H K + n H (K + V)) + D H (V + n), and
n H (3 K V + C (5 K + 3 V) / 2) in chunks of C writes; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; gains 1.
Deviations: kernels have the house's variance, not 0.02 squared; H K covers the
width, where the code of the paper lets H and K be free. Norms, residuals and
the MLP are the Stack's.
"""

from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs, unit
from memjax.ops.linear_attention import correct
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32
EPSILON = 1e-5  # of the norm


class Matrix(NamedTuple):
  """What a matrix memory behind a short convolution remembers.

  Attributes:
    w_BHKV: float32 memory.
    tail_BWI: float32, the last inputs of the convolution.
  """

  w_BHKV: jax.Array
  tail_BWI: jax.Array


class DeltaNet(Memory):
  """Replaces, at each key, the share b of what the memory reads there.

  Intermediates: b as `write_gate`, `(B, T, H)`, halved where `negative`.

  Attributes:
    width: D.
    head_width: K.
    value_ratio: V / K.
    taps: W, of the short convolution, at least 2.
    negative: whether b is in (0, 2).
    writes: n, number of corrections a step.
    chunk: C, the number of corrections made at once, at most.
  """

  width: int
  head_width: int
  value_ratio: int = 1
  taps: int = 4
  negative: bool = False
  writes: int = 1
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_taps(self.taps)
    for field in ('value_ratio', 'writes', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def _sizes(self) -> tuple[int, int, int]:
    """H, K and V."""
    heads = number_of_heads(self.width, self.head_width)
    return heads, self.head_width, self.value_ratio * self.head_width

  def initial_carry(self, batch_size: int) -> Any:
    heads, keys, values = self._sizes()
    inputs = heads * keys + self.writes * heads * (keys + values)
    return Matrix(
      jnp.zeros((batch_size, heads, keys, values)),
      no_inputs(batch_size, self.taps, inputs),
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
    heads, keys, values = self._sizes()
    qkv = Dense(carry.tail_BWI.shape[2], False, name='qkv')(x)
    convolution = ShortConvolution(self.taps, name='convolution')
    tail, qkv = convolution(carry.tail_BWI, qkv, reset_BT)
    q, k, v = jnp.split(
      nn.silu(qkv).astype(jnp.float32),
      [heads * keys, (1 + self.writes) * heads * keys],
      axis=-1,
    )
    written, erased = self.shares(x, heads)
    # Steps and their writes are one axis, S = n T.
    rows = len(x)
    k_BSHK = unit(k.reshape(rows, -1, heads, keys))
    carry, y_BTHV = self.remember(
      carry,
      x,
      unit(q.reshape(*x.shape[:2], heads, keys)) * keys**-0.5,
      k_BSHK,
      written * v.reshape(rows, -1, heads, values),
      erased * k_BSHK,
      reset_BT,
      self.log_decay(x, heads),
    )
    y_BTHV = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTHV)
    y_BTI = self.gated(y_BTHV.reshape(*x.shape[:2], -1).astype(x.dtype), x)
    output = Dense(self.width, False, name='output')(y_BTI)
    return carry._replace(tail_BWI=tail), output

  def remember(
    self,
    carry: Any,
    x: Inputs_BTF,
    q_BTHK: jax.Array,
    k_BSHK: jax.Array,
    v_BSHV: jax.Array,
    erase_BSHK: jax.Array,
    reset_BT: Reset_BT,
    log_decay: jax.Array | None,
  ) -> tuple[Any, jax.Array]:
    """The carry with the memory after the segment, and what each step reads."""
    del x
    w_BHKV, y_BSHV = correct(
      carry.w_BHKV,
      self._at(self.writes - 1, q_BTHK),
      k_BSHK,
      v_BSHV,
      erase_BSHK,
      self._at(0, reset_BT),
      log_decay=None if log_decay is None else self._at(0, log_decay),
      chunk=self.chunk,
    )
    y_BTHV = y_BSHV[:, self.writes - 1 :: self.writes]
    return carry._replace(w_BHKV=w_BHKV), y_BTHV

  def _at(self, place: int, x: jax.Array) -> jax.Array:
    """`(B, T, ...)` at one of the writes of each step, zeros at the others."""
    after = self.writes - 1 - place
    widths = [(0, 0), (0, 0), (place, after)] + [(0, 0)] * (x.ndim - 2)
    return jnp.pad(x[:, :, None], widths).reshape(len(x), -1, *x.shape[2:])

  def shares(self, x: Inputs_BTF, heads: int) -> tuple[jax.Array, jax.Array]:
    """Factors of what is written, `(B, S, H, 1 or V)`, and erased, `1 or K`."""
    write = Dense(self.writes * heads, False, name='beta')(x)
    share = nn.sigmoid(write.astype(jnp.float32))
    if wants_intermediates(self):
      self.sow('intermediates', 'write_gate', share)
    beta_BSH1 = share.reshape(len(x), -1, heads, 1)
    beta_BSH1 *= 2 if self.negative else 1
    return beta_BSH1, beta_BSH1

  def log_decay(self, x: Inputs_BTF, heads: int) -> jax.Array | None:
    """log a, `(B, T, H)`, of the memory before each step; None: no decay."""
    del x, heads
    return None

  def gated(self, y_BTI: jax.Array, x: Inputs_BTF) -> jax.Array:
    """What the output's kernel reads."""
    del x
    return y_BTI
