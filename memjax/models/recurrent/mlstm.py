"""mLSTM: a matrix memory with exponential gates, the parallel half of xLSTM.

With E = H K inner units in H heads and W taps of a short convolution (`conv`):

    [u, z] = W_up x
    c = silu(conv(u) + bias),   q, k = B_q c, B_k c / sqrt(K),   v = B_v u
    i_t = exp(W_i [q, k, v] + b_i),   f_t = sigma(W_f [q, k, v] + b_f)
    w_t = f_t w_(t-1) + i_t k_t v_t',   n_t = f_t n_(t-1) + i_t k_t
    y_t = w_t' q_t / max(|n_t · q_t|, 1)

and the output is W_down ((norm(y) + s * c) * silu(z)), where norm has mean 0
and variance 1 over each head and a gain, and B are block-diagonal.

Paper: Beck et al. 2024, https://arxiv.org/abs/2405.04517.
Carry: w `(B, H, K, K)` and n `(B, H, K)`, both divided by exp(m), m `(B, H)`
(`ops/exponential.py`), and the tail of the convolution `(B, W - 1, E)`,
float32.
Cost per step: 3 D E + (3 b + W + 6 H) E, with blocks of b, and
H (2 K K + 2 C K) in chunks of C steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases but those of the
convolution, 0, and of the gates: b_f from 3 to 6 over the heads, b_i normal of
variance 0.01; W_i and W_f 0; gains and s 1.
Deviations: the code of the paper adds 1e-6 to the divisor, which then depends
on m. Norms before the layer and residuals are the Stack's; the paper's blocks
have no MLP.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs
from memjax.ops import exponential
from memjax.ops.products import head_product
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32
EPSILON = 1e-5  # of the norm


class Gated(NamedTuple):
  """What an mLSTM remembers.

  Attributes:
    memory: of `ops/exponential.py`.
    tail_BWE: float32, the last inputs of the convolution.
  """

  memory: exponential.Memory
  tail_BWE: jax.Array


class MLSTM(Memory):
  """Adds outer products with shares that can grow exponentially.

  Intermediates: f as `forget_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    head_width: K, a multiple of `block_width`.
    expand: E / D; E is rounded up to whole heads.
    taps: W, of the short convolution, at least 2.
    block_width: b, channels of a block of the kernels of q, k and v.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  expand: int = 2
  taps: int = 4
  block_width: int = 4
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_taps(self.taps)
    for field in ('expand', 'block_width', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    whole = self.head_width % self.block_width == 0
    rule = f'must divide head_width, {self.head_width}'
    require(whole, 'block_width', self.block_width, rule)
    super().__post_init__()

  def _heads(self) -> int:
    return number_of_heads(self.expand * self.width, self.head_width)

  def initial_carry(self, batch_size: int) -> Gated:
    heads, width = self._heads(), self.head_width
    return Gated(
      exponential.nothing(batch_size, heads, width, width),
      no_inputs(batch_size, self.taps, heads * width),
    )

  @nn.compact
  def __call__(
    self,
    carry: Gated,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Gated, Sequence_BTD]:
    del train
    heads, width = self._heads(), self.head_width
    units = heads * width
    up = Dense(2 * units, False, name='up')(x)
    u, z = jnp.split(up, 2, axis=-1)
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, c = convolution(carry.tail_BWE, u, reset_BT)
    c = nn.silu(c)
    q, k, v = self._blocks('q', c), self._blocks('k', c), self._blocks('v', u)
    log_i_BTH, log_f_BTH = self._gates(jnp.concatenate([q, k, v], axis=-1))
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_f_BTH))
    q_BTHK, k_BTHK, v_BTHK = (
      a.astype(jnp.float32).reshape(*x.shape[:2], heads, width)
      for a in (q, k, v)
    )
    memory, y_BTHK = exponential.exponential(
      carry.memory,
      q_BTHK,
      k_BTHK * width**-0.5,
      v_BTHK,
      log_i_BTH,
      log_f_BTH,
      reset_BT,
      chunk=self.chunk,
    )
    norm = nn.LayerNorm(EPSILON, use_bias=False, use_scale=False)
    ones = nn.initializers.ones_init()
    gain_E, skip_E = (self.param(n, ones, (units,)) for n in ('gain', 'skip'))
    y_BTE = norm(y_BTHK).reshape(*x.shape[:2], units).astype(x.dtype)
    y_BTE = gain_E[None, None] * y_BTE + skip_E[None, None] * c
    output = Dense(self.width, False, name='down')(y_BTE * nn.silu(z))
    return Gated(memory, tail), output

  def _blocks(self, name: str, x: jax.Array) -> jax.Array:
    """A linear map with a kernel of its own for each block of channels."""
    blocks = x.shape[-1] // self.block_width
    draw = nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=(0,))
    kernel = self.param(
      name, draw, (blocks, self.block_width, self.block_width)
    )
    cut = x.reshape(*x.shape[:2], blocks, self.block_width)
    return head_product(cut, kernel).reshape(x.shape)

  def _gates(self, qkv: jax.Array) -> tuple[jax.Array, jax.Array]:
    """log i and log f, `(B, T, H)`, float32."""

    def bias(
      key: jax.Array, shape: tuple[int, ...], dtype: object
    ) -> jax.Array:
      del dtype
      written = 0.1 * jax.random.normal(key, (shape[0] // 2,))
      return jnp.concatenate([written, jnp.linspace(3.0, 6.0, shape[0] // 2)])

    zeros = nn.initializers.zeros_init()
    gates = Dense(
      2 * self._heads(), kernel_init=zeros, bias_init=bias, name='gates'
    )(qkv)
    i_BTH, f_BTH = jnp.split(gates.astype(jnp.float32), 2, axis=-1)
    return i_BTH, nn.log_sigmoid(f_BTH)
