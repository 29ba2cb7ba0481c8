"""Recurrent memory network: an LSTM that attends to its last n inputs.

    h_t = LSTM(x_t)
    m_i = M x_i,   c_i = C x_i,   i = t - n + 1 ... t        the memory
    p_i = softmax_i((m_i + T_(t-i)) · h_t)
    s_t = sum_i p_i c_i
    z, r = sigma(U_z s_t + V_z h_t), sigma(U_r s_t + V_r h_t)
    h'_t = (1 - z) h_t + z tanh(U s_t + V (r * h_t))

`RMN` (RM) answers y_t = h'_t; `StackedMemory` (RMR) reads h' with a
second LSTM, y_t = LSTM(h'_t).

Paper: Tran, Bisazza & Monz 2016, https://arxiv.org/abs/1601.01272, section 3,
with the temporal matrix T and the gated block, there +tM-g. The block has no
steps, and as m_i · h = x_i · M'h and sum_i p_i C x_i = C sum_i p_i x_i, it is
attention over a window of the inputs as they are.
Carry: h and c of each LSTM, `(B, D)` float32, the last n - 1 inputs of the
layer, `(B, n - 1, D)` float32, and how many of them are filled, `(B,)` int32.
Cost per step: 16 B D D + 3 B n D; 8 B D D more for the second LSTM.
Parameters: kernels of variance 1 / D, T normal of variance 0.02^2, no biases
but the LSTMs'.
Deviations: M and C are maps of the layer's inputs, and the paper has a table
for each. Behind a table of embeddings both are the same function, with fewer
parameters here.
Near the start a step sees fewer inputs.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer_xl import Recent
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.recurrent.lstm import LSTM, LSTMState
from memjax.ops.attention import (
  CHUNK,
  last_run,
  run_ids,
  weights_by_lag,
  windowed_attention,
)
from memjax.types import Reset_BT, Sequence_BTD


class RecurrentMemoryState(NamedTuple):
  """What a recurrent memory network remembers.

  Attributes:
    lstm: of the LSTM below the memory block.
    recent: the last inputs.
  """

  lstm: LSTMState
  recent: Recent


class RMN(Memory):
  """RM: an LSTM and a memory block.

  Intermediates: `lag_weights` of the block, `(B, T, 1, window)`.

  Attributes:
    width: D, of the inputs and outputs alike.
    window: n, the inputs that a step sees, its own among them.
    chunk: the number of queries read at once, at least.
  """

  width: int
  window: int
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    for field in ('width', 'window', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> RecurrentMemoryState:
    slots = max(self.window - 1, 1)  # a checkpoint cannot hold an empty array
    return RecurrentMemoryState(
      LSTM(self.width, parent=None).initial_carry(batch_size),
      Recent(
        jnp.zeros((batch_size, slots, self.width)),
        jnp.zeros((batch_size,), jnp.int32),
      ),
    )

  @nn.compact
  def __call__(
    self,
    carry: RecurrentMemoryState,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[RecurrentMemoryState, Sequence_BTD]:
    del train
    rule = f'must be the width of the inputs, {x.shape[2]}'
    require(self.width == x.shape[2], 'width', self.width, rule)
    lstm, h_BTD = LSTM(self.width, name='lstm')(carry.lstm, x, reset_BT)
    recent, s_BTD = self._look(carry.recent, x, reset_BT, h_BTD)
    return RecurrentMemoryState(lstm, recent), self._combine(s_BTD, h_BTD)

  def _look(
    self,
    recent: Recent,
    x: jax.Array,
    reset_BT: jax.Array,
    h_BTD: jax.Array,
  ) -> tuple[Recent, jax.Array]:
    """s: what each h sees in the last inputs."""
    slots, back = recent.x_BMD.shape[1], self.window - 1
    places_RD = self.param(
      'T', nn.initializers.normal(0.02), (self.window, self.width)
    )
    x_BSD = jnp.concatenate([recent.x_BMD.astype(x.dtype), x], axis=1)
    run_BS = run_ids(recent.count_B, slots, reset_BT)
    query = Dense(self.width, use_bias=False, name='M')
    q, k = query(h_BTD)[:, :, None], x_BSD[:, :, None]
    relative = h_BTD[:, :, None], places_RD[:, None]
    seen_BTHD = windowed_attention(
      q, k, k, run_BS, back, relative, chunk=self.chunk
    )
    if wants_intermediates(self):
      weights = weights_by_lag(q, k, run_BS, back, relative)
      self.sow('intermediates', 'lag_weights', weights)
    after = Recent(
      x_BSD[:, -slots:].astype(jnp.float32), last_run(run_BS, back)
    )
    value = Dense(self.width, use_bias=False, name='C')
    return after, value(seen_BTHD[:, :, 0])

  def _combine(self, s_BTD: jax.Array, h_BTD: jax.Array) -> jax.Array:
    """The gated unit of a GRU whose input is s and whose state is h."""

    def linear(name: str, x_BTD: jax.Array, blocks: int) -> jax.Array:
      return Dense(blocks * self.width, use_bias=False, name=name)(x_BTD)

    of_s_BTG = linear('U', s_BTD, 3)
    gates = jax.nn.sigmoid(
      of_s_BTG[..., : 2 * self.width] + linear('V_gates', h_BTD, 2)
    )
    z_BTD, r_BTD = jnp.split(gates, 2, axis=-1)
    new_BTD = jnp.tanh(
      of_s_BTG[..., 2 * self.width :] + linear('V', r_BTD * h_BTD, 1)
    )
    return (1 - z_BTD) * h_BTD + z_BTD * new_BTD


class StackedMemoryState(NamedTuple):
  """What a recurrent memory network with an LSTM on top remembers.

  Attributes:
    below: of the LSTM and the memory block.
    above: of the LSTM that reads the block.
  """

  below: RecurrentMemoryState
  above: LSTMState


class StackedMemory(Memory):
  """RMR: an LSTM, a memory block, and a second LSTM.

  Attributes:
    width: D, of the inputs and outputs alike.
    window: n, the inputs that a step sees, its own among them.
    chunk: the number of queries read at once, at least.
  """

  width: int
  window: int
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    RMN(self.width, self.window, self.chunk, parent=None)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> StackedMemoryState:
    below = RMN(self.width, self.window, self.chunk, parent=None)
    return StackedMemoryState(
      below.initial_carry(batch_size),
      LSTM(self.width, parent=None).initial_carry(batch_size),
    )

  @nn.compact
  def __call__(
    self,
    carry: StackedMemoryState,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[StackedMemoryState, Sequence_BTD]:
    block = RMN(self.width, self.window, self.chunk, name='below')
    below, h_BTD = block(carry.below, x, reset_BT, train=train)
    lstm = LSTM(self.width, name='above')
    above, y_BTD = lstm(carry.above, h_BTD, reset_BT, train=train)
    return StackedMemoryState(below, above), y_BTD
