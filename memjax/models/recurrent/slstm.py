"""sLSTM: an LSTM with exponential gates and a count that normalises them.

With H heads of K = D / H units, W taps of a short convolution (`conv`) and
u = silu(conv(x) + bias):

    i~ = W_i u_t + R_i h_(t-1) + b_i,   f~ = W_f u_t + R_f h_(t-1) + b_f
    z~ = W_z x_t + R_z h_(t-1) + b_z,   o~ = W_o x_t + R_o h_(t-1) + b_o
    c_t = sigma(f~) c_(t-1) + exp(i~) tanh(z~)
    n_t = sigma(f~) n_(t-1) + exp(i~)
    h_t = sigma(o~) c_t / n_t

and y is h with mean 0 and variance 1 over each head, times a gain. All W and R
are block-diagonal over the heads. exp(i~) can be beyond the range of float32:
c and n are kept divided by exp(m), m_t = max(log sigma(f~) + m_(t-1), i~),
which h does not depend on. A memory that holds nothing has m = -1e30.

Paper: Beck et al. 2024, https://arxiv.org/abs/2405.04517.
Carry: h, c, n and m `(B, D)`, and the tail of the convolution `(B, W - 1, D)`,
float32.
Cost per step: 8 D K + W D.
Parameters: W normal of variance 2 / (5 D), R 0; b_f of unit j of a head falls
from 5 to -7, 5 - 12 (j / (K - 1))^p with p from 0.3 in the first layer to 1.6
in the last; other biases 0, gains 1.
Deviations: the paper allows exp(f~) too; its code has sigma. The block's MLP is
the Stack's, where the paper's has gelu gates of width 4 D / 3.
"""

import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs
from memjax.models.recurrent.cell import add, preactivations
from memjax.ops.exponential import NOTHING
from memjax.ops.scans import Cell, State, Weights, recur
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EPSILON = 1e-5  # of the norm
GATES = 4  # i, f, z, o


class ScalarState(NamedTuple):
  """What an sLSTM remembers.

  Attributes:
    h_BD: float32 outputs before the norm.
    c_BD: float32 values, divided by exp(m).
    n_BD: float32 sums of shares, divided by exp(m).
    m_BD: float32 logarithms of the largest shares.
    tail_BWD: float32, the last inputs of the convolution.
  """

  h_BD: jax.Array
  c_BD: jax.Array
  n_BD: jax.Array
  m_BD: jax.Array
  tail_BWD: jax.Array


@functools.cache
def cell(heads: int) -> Cell:
  """The cell; its pre-activations are `(B, H, 4, K)`, as one axis."""

  def split(a: jax.Array) -> list[jax.Array]:
    gates = a.reshape(*a.shape[:-1], heads, GATES, -1)
    units = a.shape[-1] // GATES
    return [
      gates[..., j, :].reshape(*a.shape[:-1], units) for j in range(GATES)
    ]

  def step(state: State, a_BG: jax.Array) -> State:
    _, c, n, m = state
    i, f, z, o = split(a_BG)
    log_kept = nn.log_sigmoid(f) + m
    after = jax.lax.stop_gradient(jnp.maximum(log_kept, i))
    kept, written = jnp.exp(log_kept - after), jnp.exp(i - after)
    c = kept * c + written * jnp.tanh(z)
    n = kept * n + written
    return nn.sigmoid(o) * c / n, c, n, after

  def gates(a_BTG: jax.Array) -> dict[str, jax.Array]:
    _, f, _, o = split(a_BTG)
    return {'forget_gate': nn.sigmoid(f), 'output_gate': nn.sigmoid(o)}

  return Cell(add, step, gates, (0.0, 0.0, 0.0, NOTHING))


class SLSTM(Memory):
  """One layer of units with exponential gates, mixed inside each head.

  Intermediates: sigma(f~) as `forget_gate` and sigma(o~) as `output_gate`,
  `(B, T, D)`.

  Attributes:
    width: D.
    heads: H, which divides D.
    taps: W, of the short convolution, at least 2.
    index: of the layer in its Stack, which sets it.
    depth: of the Stack, which sets it.
  """

  width: int
  heads: int = 4
  taps: int = 4
  index: int = 0
  depth: int = 1

  def __post_init__(self) -> None:
    for field in ('width', 'heads'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    rule = f'must divide width, {self.width}'
    require(self.width % self.heads == 0, 'heads', self.heads, rule)
    check_taps(self.taps)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> ScalarState:
    shape = batch_size, self.width
    nothing = jnp.full(shape, NOTHING, jnp.float32)
    h, c, n = (jnp.zeros(shape) for _ in range(3))
    tail = no_inputs(batch_size, self.taps, self.width)
    return ScalarState(h, c, n, nothing, tail)

  @nn.compact
  def __call__(
    self,
    carry: ScalarState,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[ScalarState, Sequence_BTD]:
    del train
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, u = convolution(carry.tail_BWD, x, reset_BT)
    by_head = *x.shape[:2], self.heads, self.width // self.heads
    both = jnp.concatenate(
      [nn.silu(u).reshape(by_head), x.reshape(by_head)], axis=-1
    ).reshape(*x.shape[:2], -1)
    *state, _ = carry
    weights = self._weights()
    after, h_BTD = recur(
      cell(self.heads), weights, tuple(state), both, reset_BT
    )
    if wants_intermediates(self):
      a = preactivations(
        cell(self.heads), weights, tuple(state), both, h_BTD, reset_BT
      )
      for name, gate in cell(self.heads).gates(a).items():
        self.sow('intermediates', name, gate)
    norm = nn.LayerNorm(EPSILON, use_bias=False, use_scale=False)
    gain_D = self.param('gain', nn.initializers.ones_init(), (self.width,))
    y = norm(h_BTD.reshape(by_head)).reshape(h_BTD.shape)
    h_BD, c_BD, n_BD, m_BD = after
    last = ScalarState(h_BD, c_BD, n_BD, m_BD, tail)
    return last, gain_D[None, None] * y

  def _weights(self) -> Weights:
    """Kernels of each head: inputs [u, x] and h to [i, f, z, o]."""
    heads, units = self.heads, self.width // self.heads
    shape = heads, units, GATES * units
    small = nn.initializers.normal((2 / (5 * self.width)) ** 0.5)
    kernel = self.param('input_kernel', small, shape)
    written, read = jnp.split(kernel, 2, axis=2)
    zeros = jnp.zeros_like(written)
    input_kernel = jnp.concatenate(
      [
        jnp.concatenate([written, zeros], axis=2),  # i and f read u
        jnp.concatenate([zeros, read], axis=2),  # z and o read x
      ],
      axis=1,
    )
    recurrent = self.param(
      'recurrent_kernel', nn.initializers.zeros_init(), shape
    )
    return Weights(input_kernel, recurrent, self.param('bias', self._bias))

  def _bias(self, key: jax.Array) -> jax.Array:
    del key
    units = self.width // self.heads
    power = 0.3 + 1.3 * self.index / max(self.depth - 1, 1)
    forget = 5 - 12 * (jnp.arange(units) / max(units - 1, 1)) ** power
    bias = jnp.zeros((self.heads, GATES, units)).at[:, 1].set(forget)
    return bias.reshape(-1)
