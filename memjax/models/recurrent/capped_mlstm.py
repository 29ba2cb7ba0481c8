"""mLSTM of xLSTM 7B: capped gates, half as many channels of keys as of values.

With H heads, keys of K and values of V numbers each, cap(a) = c tanh(a / c):

    q_t, k_t, v_t, o_t = W_q x, W_k x / sqrt(K), W_v x, sigma(W_o x)
    i_t = exp(cap(w_i x + b_i)),   f_t = sigma(cap(w_f x + b_f))
    w_t = f_t w_(t-1) + i_t k_t v_t',   n_t = f_t n_(t-1) + i_t k_t
    y_t = w_t' q_t / max(|n_t · q_t|, 1)

and the output is W_d (norm(y) * o), where norm has mean 0 and variance 1 over
each head and a gain.

Paper: Beck et al. 2025, https://arxiv.org/abs/2503.13427.
Carry: w `(B, H, K, V)` and n `(B, H, K)`, both divided by exp(m), and m
`(B, H)` (`ops/exponential.py`), float32.
Cost per step: D H (2 K + 3 V + 2), and H (2 K V + C (K + V)) in chunks of C
steps; linear in T.
Parameters: kernels normal of variance 1 / rows, but those of the gates 0; b_i
is -10, b_f from 3 to 6 over the heads; gains 1.
Deviations: the code of the paper adds 1e-6 to the divisor, which then depends
on m. Norms before the layer, residuals and the MLP are the Stack's: norm 'rms',
activation 'swiglu', `mlp` 2.667, `softcap` 30, no biases.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops import exponential
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

CHUNK = 32


class CappedMLSTM(Memory):
  """A matrix memory whose exponential gates have a largest value.

  Intermediates: f as `forget_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    head_width: V, of values; there are D / V heads, rounded up.
    key_width: K; 0 for half of V, rounded up.
    gate_cap: c, above 0.
    epsilon: of the norm; a Stack in pre-norm sets it to its own.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  key_width: int = 0
  gate_cap: float = 15.0
  epsilon: float = 1e-6
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    rule = 'must be at least 0'
    require(self.key_width >= 0, 'key_width', self.key_width, rule)
    for field in ('gate_cap', 'epsilon'):
      value = getattr(self, field)
      require(value > 0, field, value, 'must be above 0')
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    super().__post_init__()

  def _sizes(self) -> tuple[int, int, int]:
    """H, K and V."""
    keys = self.key_width or -(-self.head_width // 2)
    return number_of_heads(self.width, self.head_width), keys, self.head_width

  def initial_carry(self, batch_size: int) -> exponential.Memory:
    return exponential.nothing(batch_size, *self._sizes())

  @nn.compact
  def __call__(
    self,
    carry: exponential.Memory,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[exponential.Memory, Sequence_BTD]:
    del train
    heads, keys, values = self._sizes()
    edges = heads * keys, 2 * heads * keys, heads * (2 * keys + values)
    joint = Dense(heads * 2 * (keys + values), False, name='qkvo')(x)
    *qkv, o = jnp.split(joint, edges, axis=-1)
    q, k, v = (
      a.astype(jnp.float32).reshape(*x.shape[:2], heads, -1) for a in qkv
    )
    log_i_BTH, log_f_BTH = self._gates(x, heads)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_f_BTH))
    carry, y_BTHV = exponential.exponential(
      carry,
      q,
      k * keys**-0.5,
      v,
      log_i_BTH,
      log_f_BTH,
      reset_BT,
      chunk=self.chunk,
    )
    norm = nn.LayerNorm(self.epsilon, use_bias=False, use_scale=False)
    gain = self.param('gain', nn.initializers.ones_init(), (heads * values,))
    y = norm(y_BTHV).reshape(*x.shape[:2], -1).astype(x.dtype)
    y *= gain[None, None] * nn.sigmoid(o)
    return carry, Dense(self.width, False, name='down')(y)

  def _gates(self, x: Inputs_BTF, heads: int) -> tuple[jax.Array, jax.Array]:
    """log i and log f, `(B, T, H)`, float32."""

    def bias(
      key: jax.Array, shape: tuple[int, ...], dtype: object
    ) -> jax.Array:
      del key, shape, dtype
      return jnp.concatenate(
        [jnp.full(heads, -10.0), jnp.linspace(3, 6, heads)]
      )

    zeros, cap = nn.initializers.zeros_init(), self.gate_cap
    gates = Dense(2 * heads, kernel_init=zeros, bias_init=bias, name='gates')(x)
    gates = cap * jnp.tanh(gates.astype(jnp.float32) / cap)
    i_BTH, f_BTH = jnp.split(gates, 2, axis=-1)
    return i_BTH, nn.log_sigmoid(f_BTH)
