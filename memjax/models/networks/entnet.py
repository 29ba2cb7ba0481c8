"""Recurrent entity network: gated slots that keep track of one entity each.

With s_t the input, w_j the keys and h_j the slots, which start as their keys:

    p_j = softmax_j(s_t · h_j)                     what the slots hold so far
    y_t = phi(s_t + H sum_j p_j h_j)
    g_j = sigma(s_t · h_j + s_t · w_j)             then s_t is written
    h_j <- unit(h_j + g_j phi(U h_j + V w_j + W s_t))

phi is a parametric ReLU that starts as the identity, unit(h) = h / ||h||.

Paper: Henaff et al. 2017, https://arxiv.org/abs/1612.03969, sections 2.2 and
2.3; its answer is a readout of y_t, which is the Stack's. A question is asked
after the story, so a step reads the slots before it writes to them: a question
at step t is answered from s_1 ... s_(t-1), as in the paper.
Carry: the slots, `(B, M, D)` float32, and whether anything was written to them,
`(B,)` bool. Before the first write the slots are the keys, which are
parameters.
Cost per step: B M D D + 2 B D D + 3 B M D. The backward pass of a segment keeps
the slots of all steps, B T M D, and computes the rest anew.
Parameters: keys and kernels normal of variance 1 / D; slopes, one for each unit
and each phi, 1.
Deviations: a layer does not know which steps are questions, so a question is
also written to the slots, and later steps read it; unit(h) divides by the
square root of h · h + 1e-8, which is finite at 0.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.steps import product, walk
from memjax.types import Reset_BT, Sequence_BTD

EPSILON = 1e-8  # of a squared norm


class Entities(NamedTuple):
  """What an entity network remembers.

  Attributes:
    h_BMD: the slots.
    written_B: bool, False where the slots are still the keys.
  """

  h_BMD: jax.Array
  written_B: jax.Array


class EntNet(Memory):
  """A recurrent entity network.

  Intermediates: `read_weights`, `(B, T, 1, M)`, and g as `write_gate`,
  `(B, T, M)`.

  Attributes:
    width: D, of the inputs and the slots alike.
    slots: M.
  """

  width: int
  slots: int

  def __post_init__(self) -> None:
    for field in ('width', 'slots'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Entities:
    return Entities(
      jnp.zeros((batch_size, self.slots, self.width)),
      jnp.zeros((batch_size,), bool),
    )

  @nn.compact
  def __call__(
    self,
    carry: Entities,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Entities, Sequence_BTD]:
    del train
    batch, _, width = x.shape
    rule = f'must be the width of the inputs, {width}'
    require(self.width == width, 'width', self.width, rule)
    draw, ones = nn.initializers.lecun_normal(), nn.initializers.ones
    keys = self.param(
      'keys', nn.initializers.normal(width**-0.5), (self.slots, width)
    )
    slot_DD = self.param('slot_kernel', draw, (width, width))
    slope_D = self.param('slot_slope', ones, (width,)).astype(jnp.float32)
    keys_MD = keys.astype(jnp.float32)
    of_keys_MD = Dense(width, use_bias=False, name='key')(keys)
    of_keys_MD = of_keys_MD.astype(jnp.float32)
    wanted = wants_intermediates(self)

    def step(
      h_BMD: jax.Array, now: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
      s_BD, of_input_BD, key_match_BM = now
      match_BM = jnp.einsum('bd,bmd->bm', s_BD, h_BMD)
      weight_BM = jax.nn.softmax(match_BM)
      read_BD = jnp.einsum('bm,bmd->bd', weight_BM, h_BMD)
      of_slots_BMD = product(h_BMD, slot_DD)
      new_BMD = prelu(
        of_slots_BMD + of_keys_MD[None] + of_input_BD[:, None], slope_D
      )
      gate_BM = jax.nn.sigmoid(match_BM + key_match_BM)
      shown = {'read_weights': weight_BM[:, None], 'write_gate': gate_BM}
      h_BMD = unit(h_BMD + gate_BM[:, :, None] * new_BMD)
      return h_BMD, (read_BD, shown if wanted else {})

    s_BTD = x.astype(jnp.float32)
    of_input_BTD = Dense(width, use_bias=False, name='input')(x)
    of_input_BTD = of_input_BTD.astype(jnp.float32)
    of_keys_BTM = jnp.einsum('btd,md->btm', s_BTD, keys_MD)
    fresh_BMD = jnp.broadcast_to(keys_MD[None], (batch, *keys_MD.shape))
    h_BMD = jnp.where(carry.written_B[:, None, None], carry.h_BMD, fresh_BMD)
    h_BMD, (read_BTD, shown) = walk(
      jax.checkpoint(step),
      fresh_BMD,
      h_BMD,
      (s_BTD, of_input_BTD, of_keys_BTM),
      reset_BT,
    )
    for name, array in shown.items():
      self.sow('intermediates', name, array)
    read = Dense(width, use_bias=False, name='read')
    y_BTD = prelu(
      x + read(read_BTD.astype(x.dtype)),
      self.param('output_slope', ones, (width,)),
    )
    return Entities(h_BMD, jnp.ones((batch,), bool)), y_BTD


def prelu(x: jax.Array, slope_D: jax.Array) -> jax.Array:
  """x where it is positive, slope times x elsewhere."""
  slope = slope_D.reshape((1,) * (x.ndim - 1) + slope_D.shape)
  return jnp.where(x > 0, x, slope * x)


def unit(h: jax.Array) -> jax.Array:
  """h divided by its length; 0, with a finite gradient, where h is 0."""
  return h * lax.rsqrt((h * h).sum(-1, keepdims=True) + EPSILON)
