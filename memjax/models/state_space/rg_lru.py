"""RG-LRU in Griffin's recurrent block: gated decays, inputs of equal power.

With R inner units in H heads of K, and W taps of a short convolution (`conv`):

    u = conv(W_x x) + bias
    r_t, i_t = sigma(W_r u_t + b_r), sigma(W_i u_t + b_i)   block-diagonal, K
    log a_t = -8 r_t softplus(l)
    h_t = a_t h_(t-1) + sqrt(1 - a_t^2) (i_t u_t)

and the output is W_o (gelu(W_y x) * h) + b_o.

Paper: De et al. 2024, https://arxiv.org/abs/2402.19427.
Carry: h `(B, R)` and the tail of the convolution `(B, W - 1, R)`, float32; and
without `scale_first` whether a step was read, `(B,)` int32.
Cost per step: 3 D R + 2 R K + W R.
Parameters: kernels normal of variance 1 / rows, biases 0; l such that the decay
at r = 1/2 is u^4 and at r = 1 is u^8, with u^2 uniform in [0.9^2, 0.999^2].
Deviations: the code of the paper does not scale the first input of a document,
as with scale_first=False here; else each input is scaled. R is 4 D / 3 rounded
up to whole heads, or `units`. Norms, residuals and the MLP are the Stack's.
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
from memjax.ops.diagonal import diagonal
from memjax.ops.products import head_product
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

POWER = 8.0
LARGEST_SLOPE = 1000.0  # of the square root, at a decay of 1


class Units(NamedTuple):
  """What the block remembers.

  Attributes:
    h_BR: float32 units.
    tail_BWR: float32, the last inputs of the convolution.
  """

  h_BR: jax.Array
  tail_BWR: jax.Array


class BegunUnits(NamedTuple):
  """What the block remembers if it does not scale the first input.

  Attributes:
    h_BR: as in `Units`.
    tail_BWR: as in `Units`.
    begun_B: int32, 1 where a step was read.
  """

  h_BR: jax.Array
  tail_BWR: jax.Array
  begun_B: jax.Array


class RGLRU(Memory):
  """Real-gated linear recurrent units between two products.

  Intermediates: a as `forget_gate`, `(B, T, R)`, and i as `input_gate`.

  Attributes:
    width: D.
    head_width: K, of the blocks of the gates' kernels.
    taps: W, of the short convolution, at least 2.
    units: R, whole heads; 0 for 4 D / 3, rounded up.
    scale_first: whether the first input of a run is scaled, too.
  """

  width: int
  head_width: int
  taps: int = 4
  units: int = 0
  scale_first: bool = True

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_taps(self.taps)
    whole = self.units >= 0 and self.units % self.head_width == 0
    rule = f'must be 0 or a multiple of head_width, {self.head_width}'
    require(whole, 'units', self.units, rule)
    super().__post_init__()

  def _heads(self) -> int:
    units = self.units or -(-4 * self.width // 3)
    return number_of_heads(units, self.head_width)

  def initial_carry(self, batch_size: int) -> Units | BegunUnits:
    units = self._heads() * self.head_width
    carry = Units(
      jnp.zeros((batch_size, units)), no_inputs(batch_size, self.taps, units)
    )
    if self.scale_first:
      return carry
    return BegunUnits(*carry, jnp.zeros((batch_size,), jnp.int32))

  @nn.compact
  def __call__(
    self,
    carry: Units | BegunUnits,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Units | BegunUnits, Sequence_BTD]:
    del train
    units = carry.h_BR.shape[1]
    branch = Dense(units, name='branch')(x)
    u = Dense(units, name='input')(x)
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, u = convolution(carry.tail_BWR, u, reset_BT)
    r_BTR, i_BTR = self._gates(u)
    base_R = self.param('decay', _draw_decay, (units,)).astype(jnp.float32)
    log_a_BTR = -POWER * r_BTR * nn.softplus(base_R)[None, None]
    a_BTR = jnp.exp(log_a_BTR)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', a_BTR)
      self.sow('intermediates', 'input_gate', i_BTR)
    added_BTR = bounded_sqrt(-jnp.expm1(2 * log_a_BTR))
    if isinstance(carry, BegunUnits):
      alone_BT = jnp.zeros_like(reset_BT).at[:, 0].set(carry.begun_B == 0)
      first_BT = reset_BT | alone_BT
      added_BTR = jnp.where(first_BT[..., None], 1.0, added_BTR)
      carry = carry._replace(begun_B=jnp.ones_like(carry.begun_B))
    added_BTR *= i_BTR * u.astype(jnp.float32)
    h_BR, h_BTR = diagonal(carry.h_BR, a_BTR, added_BTR, reset_BT)
    gated = nn.gelu(branch) * h_BTR.astype(x.dtype)
    after = carry._replace(h_BR=h_BR, tail_BWR=tail)
    return after, Dense(self.width, name='output')(gated)

  def _gates(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """r and i, `(B, T, R)` each, float32."""
    heads, width = self._heads(), self.head_width
    u_BTHK = u.reshape(*u.shape[:2], heads, width)
    kernel = self.param(
      'gate_kernel',
      nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=(0,)),
      (heads, width, 2 * width),
    )
    zeros = nn.initializers.zeros_init()
    bias = self.param('gate_bias', zeros, (heads * 2 * width,))
    gates = head_product(u_BTHK, kernel)
    gates += bias.reshape(1, 1, heads, 2 * width)
    r, i = jnp.split(nn.sigmoid(gates.astype(jnp.float32)), 2, axis=-1)
    return r.reshape(u.shape), i.reshape(u.shape)


def _draw_decay(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """l with softplus(l) = -log u, u^2 uniform in [0.9^2, 0.999^2]."""
  squares = jax.random.uniform(key, shape, jnp.float32, 0.9**2, 0.999**2)
  rate = -0.5 * jnp.log(squares)
  return rate + jnp.log(-jnp.expm1(-rate))


@jax.custom_jvp
def bounded_sqrt(x: jax.Array) -> jax.Array:
  """The square root, with a slope of at most 1000 near 0."""
  return jnp.sqrt(x)


@bounded_sqrt.defjvp
def _bounded_sqrt_jvp(
  primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
  (x,), (dx,) = primals, tangents
  root = jnp.sqrt(x)
  return root, dx / jnp.maximum(2 * root, 1 / LARGEST_SLOPE)
