"""MesaNet: at each step the best linear map from keys so far to values.

For each head, with W taps of a short convolution (`conv`):

    q, k = silu(conv(W_qk x)),   q <- q / |q|,   k <- k / |k|,   v = W_v x
    a_t = sigma(W_a x_t + b_a),   b_t = sigma(W_b x_t + b_b)
    G_t = a_t G_(t-1) + b_t k_t k_t',   R_t = a_t R_(t-1) + b_t k_t v_t'
    y_t = R_t' (G_t + diag(l))^-1 q_t,   l = 1/4 + softplus(p)

and the output is W_o [rms(y)]_heads, rms with a gain of K numbers. Where the
delta rule takes one step of gradient descent on |w' k - v|^2, this solves the
regression on all steps, n iterations of conjugate gradients at each
(`ops/mesa.py`).

Paper: von Oswald et al. 2025, https://arxiv.org/abs/2506.05233.
Carry: G and R `(B, H, K, K)` and the tail of the convolution
`(B, W - 1, 2 H K)`, float32.
Cost per step: 4 D H K + 2 D H + 2 W H K, and H ((n + 2) K K + 2 (n + 1) C K) in
chunks of C steps; linear in T.
Parameters: kernels normal of variance 1 / rows, biases 0; l starts at 1;
gains 1.
Deviations: iterations start at 0, where the code of the paper starts single
steps at q / (diag(G) + l). No bound on the decay. Norms, residuals and the MLP
are the Stack's.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs, unit
from memjax.ops.mesa import regress
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32
EPSILON = 1e-5  # of the norm
LEAST_PENALTY, FIRST_PENALTY = 0.25, 1.0


class Regression(NamedTuple):
  """What a MesaNet remembers.

  Attributes:
    g_BHKK: float32 sums of outer products of keys with themselves.
    r_BHKK: float32 sums of outer products of keys and values.
    tail_BWI: float32, the last inputs of the convolution.
  """

  g_BHKK: jax.Array
  r_BHKK: jax.Array
  tail_BWI: jax.Array


class MesaNet(Memory):
  """Solves a weighted regression of the values on the keys.

  Intermediates: a as `forget_gate` and b as `write_gate`, `(B, T, H)` each.

  Attributes:
    width: D.
    head_width: K.
    taps: W, of the short convolution, at least 2.
    iterations: n.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  taps: int = 4
  iterations: int = 30
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_taps(self.taps)
    for field in ('iterations', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Regression:
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, heads, self.head_width, self.head_width
    tail = no_inputs(batch_size, self.taps, 2 * heads * self.head_width)
    return Regression(jnp.zeros(shape), jnp.zeros(shape), tail)

  @nn.compact
  def __call__(
    self,
    carry: Regression,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Regression, Sequence_BTD]:
    del train
    _, heads, keys, _ = carry.g_BHKK.shape
    units = heads * keys
    qkv = Dense(3 * units, False, name='qkv')(x)
    qk, v = jnp.split(qkv, [2 * units], axis=-1)
    convolution = ShortConvolution(self.taps, name='convolution')
    tail, qk = convolution(carry.tail_BWI, qk, reset_BT)
    q_BTHK, k_BTHK, v_BTHK = (
      a.astype(jnp.float32).reshape(*x.shape[:2], heads, keys)
      for a in (*jnp.split(nn.silu(qk), 2, axis=-1), v)
    )
    gates = Dense(2 * heads, name='gates')(x).astype(jnp.float32)
    a_BTH, b_BTH = jnp.split(gates, 2, axis=-1)
    log_decay, beta_BTH = nn.log_sigmoid(a_BTH), nn.sigmoid(b_BTH)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay))
      self.sow('intermediates', 'write_gate', beta_BTH)
    start = nn.initializers.constant(
      np.log(np.expm1(FIRST_PENALTY - LEAST_PENALTY))
    )
    penalty = self.param('penalty', start, (units,)).astype(jnp.float32)
    penalty_HK = LEAST_PENALTY + nn.softplus(penalty).reshape(heads, keys)
    g_BHKK, r_BHKK, y_BTHK = regress(
      carry.g_BHKK,
      carry.r_BHKK,
      unit(q_BTHK),
      unit(k_BTHK),
      v_BTHK,
      beta_BTH,
      penalty_HK,
      reset_BT,
      log_decay=log_decay,
      chunk=self.chunk,
      iterations=self.iterations,
    )
    y_BTHK = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTHK)
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1).astype(x.dtype)
    output = Dense(self.width, False, name='output')(y_BTI)
    return Regression(g_BHKK, r_BHKK, tail), output
