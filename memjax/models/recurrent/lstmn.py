"""Long short-term memory-network: an LSTM with a tape instead of a cell.

    a_i = v · tanh(W_h h_i + W_x x_t + W_s h~_(t-1)),   i = t - M ... t - 1
    h~_t, c~_t = sum_i softmax_i(a) (h_i, c_i)
    i, f, o, g = h~_t U + x_t W + b                        D wide each
    c_t = sigma(f) * c~_t + sigma(i) * tanh(g)
    h_t = sigma(o) * tanh(c_t),   y_t = h_t

Paper: Cheng, Dong & Lapata 2016, https://arxiv.org/abs/1601.06733, section 3.1;
a is the additive score of Bahdanau, Cho & Bengio 2015,
https://arxiv.org/abs/1409.0473.
Carry: the tapes of h and c, `(B, M, D)` each, the last h~, `(B, D)`, float32,
and the number of filled slots of the tapes, `(B,)` int32. Within a call,
W_h h_i is kept on its own tape. It is not carried, as W_h changes between
calls.
Cost per step: 11 B D D + 3 B M D and the tanh of B M D numbers; a call begins
with B M D D. The backward pass of a segment keeps the tapes of all
steps, 3 B T M D, and computes the rest anew.
Parameters: kernels and v of variance 1 / D; b is 0, for f it is 1.
Deviations: the tapes hold the last M steps, and the paper's hold a whole
sentence; before the first step h~ and c~ are 0; the gates have a bias.
"""

from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.steps import product, walk
from memjax.ops.tiled_attention import UNSEEN
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Tapes(NamedTuple):
  """What the last steps left behind, the newest in the last slot.

  Attributes:
    h_BMD: their hidden states.
    c_BMD: their cells.
    summary_BD: h~, what the last step saw of the hidden states before it.
    count_B: int32, the number of filled slots; the others are 0.
  """

  h_BMD: jax.Array
  c_BMD: jax.Array
  summary_BD: jax.Array
  count_B: jax.Array


class LSTMN(Memory):
  """A long short-term memory-network.

  Intermediates: `lag_weights`, `(B, T, 1, M + 1)`; 0 at lag 0.

  Attributes:
    width: D.
    window: M, the steps that the tapes hold.
  """

  width: int
  window: int

  def __post_init__(self) -> None:
    for field in ('width', 'window'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Tapes:
    shape = batch_size, self.window, self.width
    return Tapes(
      jnp.zeros(shape),
      jnp.zeros(shape),
      jnp.zeros((batch_size, self.width)),
      jnp.zeros((batch_size,), jnp.int32),
    )

  @nn.compact
  def __call__(
    self,
    carry: Tapes,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Tapes, Sequence_BTD]:
    del train
    width, slots = self.width, self.window
    sigma, wanted = jax.nn.sigmoid, wants_intermediates(self)
    draw = nn.initializers.lecun_normal()
    tape_DD = self.param('tape_kernel', draw, (width, width))
    summary_DD = self.param('summary_kernel', draw, (width, width))
    recurrent_DG = self.param('recurrent_kernel', draw, (width, 4 * width))
    v_D = self.param('v', nn.initializers.normal(width**-0.5), (width,))
    v_D = v_D.astype(jnp.float32)

    def step(
      state: tuple[Tapes, jax.Array], now: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Tapes, jax.Array], tuple[jax.Array, list[jax.Array]]]:
      tapes, of_tape_BMD = state
      of_input_BD, input_BG = now
      query_BD = of_input_BD + product(tapes.summary_BD, summary_DD)
      score_BM = jnp.tanh(of_tape_BMD + query_BD[:, None]) @ v_D
      filled_BM = jnp.arange(slots)[None] >= slots - tapes.count_B[:, None]
      weight_BM = jax.nn.softmax(jnp.where(filled_BM, score_BM, UNSEEN))
      summary_BD = jnp.einsum('bm,bmd->bd', weight_BM, tapes.h_BMD)
      cell_BD = jnp.einsum('bm,bmd->bd', weight_BM, tapes.c_BMD)
      a_BG = input_BG + product(summary_BD, recurrent_DG)
      i_BD, f_BD, o_BD, g_BD = jnp.split(a_BG, 4, axis=1)
      c_BD = sigma(f_BD) * cell_BD + sigma(i_BD) * jnp.tanh(g_BD)
      h_BD = sigma(o_BD) * jnp.tanh(c_BD)
      after = Tapes(
        push(tapes.h_BMD, h_BD),
        push(tapes.c_BMD, c_BD),
        summary_BD,
        jnp.minimum(tapes.count_B + 1, slots),
      )
      of_tape_BMD = push(of_tape_BMD, product(h_BD, tape_DD))
      shown = [jnp.where(filled_BM, weight_BM, 0)] if wanted else []
      return (after, of_tape_BMD), (h_BD, shown)

    fresh = self.initial_carry(x.shape[0])
    of_input_BTD = Dense(width, use_bias=False, name='attention')(x)
    input_BTG = Dense(4 * width, bias_init=self._bias, name='gates')(x)
    (carry, _), (y_BTD, shown) = walk(
      jax.checkpoint(step),
      (fresh, jnp.zeros_like(fresh.h_BMD)),
      (carry, product(carry.h_BMD, tape_DD)),
      (of_input_BTD.astype(jnp.float32), input_BTG.astype(jnp.float32)),
      reset_BT,
    )
    for weights_BTM in shown:
      by_lag_BTR = jnp.pad(weights_BTM[..., ::-1], [(0, 0), (0, 0), (1, 0)])
      self.sow('intermediates', 'lag_weights', by_lag_BTR[:, :, None])
    return carry, y_BTD.astype(x.dtype)

  def _bias(self, key: jax.Array, shape: tuple[int], dtype: Any) -> jax.Array:
    del key
    forget = jnp.arange(shape[0]) // self.width == 1
    return forget.astype(dtype)


def push(tape_BMD: jax.Array, newest_BD: jax.Array) -> jax.Array:
  """The tape without its oldest slot and with a new last one."""
  return jnp.concatenate([tape_BMD[:, 1:], newest_BD[:, None]], axis=1)
