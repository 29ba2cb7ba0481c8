"""Relational Memory Core: slots that attend to one another at each step.

Paper: Santoro et al. 2018, https://arxiv.org/abs/1806.01822, in the form of its
authors' code, `relational_memory.py` of Sonnet 1, with a gate for each unit.
With N = LayerNorm, m_i slot i and u_t = W x_t + b a further one, for each of
`blocks` times and all M + 1 rows z at once:

    q, k, v = N(W_qkv z + b_qkv), for each head
    z <- N(z + [sum_j softmax_j(q_i · k_j / sqrt(K)) v_j]_heads)
    z <- N(z + W_2 relu(W_1 z + b_1) + b_2)

Then, for slots 1 ... M of z, with separate weights of u and of tanh(m_i):

    i, f = sigma(W_u u_t + W_m tanh(m_i) + b + (0, 1))
    m_i  <- i tanh(z_i) + f m_i
    y_t  = W_o [m_1 ... m_M] + b_o

Carry: m, `(B, M, W)` float32, with W = H K; at first slot i is unit vector i,
so that slots differ.
Cost per step: (M + 1) (5 W W + 2 (M + 1) W) for each block, 2 (M + 1) W W of
the gates, and D W + M W D.
Parameters: kernels normal of variance 1 / their inputs, biases 0.
Deviations: W_o, as the authors' layer returns all slots side by side; W is D,
rounded up to whole heads, where they choose it freely.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.steps import product, walk
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EPSILON = 1e-5
Weights = dict[str, jax.Array]


class RelationalMemory(Memory):
  """One core.

  Intermediates: `read_weights`, `(B, T, H, M + 1)`, what the slots attend to on
  average in the last block, the input being the last entry; `write_gate` and
  `forget_gate`, `(B, T, M)`, means over the units of a slot.

  Attributes:
    width: D.
    head_width: K.
    slots: M.
    blocks: number of times that the slots attend in a step.
  """

  width: int
  head_width: int
  slots: int
  blocks: int = 1

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    for field in ('slots', 'blocks'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  @property
  def _slot_width(self) -> int:
    return number_of_heads(self.width, self.head_width) * self.head_width

  def initial_carry(self, batch_size: int) -> jax.Array:
    unit_MW = jnp.eye(self.slots, self._slot_width)
    return jnp.tile(unit_MW[None], (batch_size, 1, 1))

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
    width = self._slot_width
    weights = self._weights()
    wanted = wants_intermediates(self)

    def step(
      m_BMW: jax.Array, u_BW: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
      z_BZW = jnp.concatenate([m_BMW, u_BW[:, None]], axis=1)
      for _ in range(self.blocks):
        z_BZW, weight_BHZZ = self._attend(weights, z_BZW)
      gates_BMG = product(jnp.tanh(m_BMW), weights['gate_memory_kernel'])
      gates_BMG += affine(weights, 'gate_input', u_BW)[:, None]
      i, f = jnp.split(gates_BMG, 2, axis=2)
      i, f = jax.nn.sigmoid(i), jax.nn.sigmoid(f + 1)
      m_BMW = i * jnp.tanh(z_BZW[:, :-1]) + f * m_BMW
      shown = {
        'read_weights': weight_BHZZ[:, :, :-1].mean(axis=2),
        'write_gate': i.mean(axis=2),
        'forget_gate': f.mean(axis=2),
      }
      return m_BMW, (m_BMW, shown if wanted else {})

    u_BTW = Dense(width, name='input')(x).astype(jnp.float32)
    after, (m_BTMW, shown) = walk(
      jax.checkpoint(step),
      self.initial_carry(x.shape[0]),
      carry,
      u_BTW,
      reset_BT,
    )
    for name, array in shown.items():
      self.sow('intermediates', name, array)
    flat = m_BTMW.reshape(*x.shape[:2], -1).astype(x.dtype)
    return after, Dense(self.width, name='output')(flat)

  def _weights(self) -> Weights:
    """The parameters of a step, by name."""
    width = self._slot_width
    draw, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros
    sizes = {'qkv': 3, 'mlp_in': 1, 'mlp_out': 1, 'gate_input': 2}
    weights = {
      'gate_memory_kernel': self.param(
        'gate_memory_kernel', draw, (width, 2 * width)
      )
    }
    for name, size in sizes.items():
      kernel, bias = f'{name}_kernel', f'{name}_bias'
      weights[kernel] = self.param(kernel, draw, (width, size * width))
      weights[bias] = self.param(bias, zeros, (size * width,))
    norms = {'qkv': 3, 'attention': 1, 'mlp': 1}
    for name, size in norms.items():
      scale, bias = f'{name}_norm_scale', f'{name}_norm_bias'
      shape = (size * width,)
      weights[scale] = self.param(scale, nn.initializers.ones, shape)
      weights[bias] = self.param(bias, zeros, shape)
    return weights

  def _attend(
    self, weights: Weights, z_BZW: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The rows after one block, and the weights `(B, H, Z, Z)`."""
    qkv = norm(weights, 'qkv', affine(weights, 'qkv', z_BZW))
    heads = qkv.reshape(*qkv.shape[:2], -1, 3, self.head_width)
    q, k, v = (heads[:, :, :, i] for i in range(3))
    score = jnp.einsum('byhk,bzhk->bhyz', q * self.head_width**-0.5, k)
    weight = jax.nn.softmax(score, axis=-1)
    read = jnp.einsum('bhyz,bzhk->byhk', weight, v).reshape(z_BZW.shape)
    z_BZW = norm(weights, 'attention', z_BZW + read)
    hidden = jax.nn.relu(affine(weights, 'mlp_in', z_BZW))
    z_BZW = norm(weights, 'mlp', z_BZW + affine(weights, 'mlp_out', hidden))
    return z_BZW, weight


def affine(weights: Weights, name: str, x: jax.Array) -> jax.Array:
  y: Any = product(x, weights[f'{name}_kernel'])
  return y + spread(weights[f'{name}_bias'], y)


def norm(weights: Weights, name: str, x: jax.Array) -> jax.Array:
  """LayerNorm over the last axis."""
  centred = x - x.mean(axis=-1, keepdims=True)
  variance = (centred * centred).mean(axis=-1, keepdims=True)
  unit = centred * jax.lax.rsqrt(variance + EPSILON)
  scale, bias = (weights[f'{name}_norm_{end}'] for end in ('scale', 'bias'))
  return unit * spread(scale, x) + spread(bias, x)


def spread(weight_W: jax.Array, x: jax.Array) -> jax.Array:
  """The weight in x's type and rank."""
  return weight_W.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
