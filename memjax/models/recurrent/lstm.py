"""Long short-term memory: gates write, keep and read a sum.

    i, f, g, o = x_t W + h_(t-1) U + b                     D wide each
    c_t = sigma(f) * c_(t-1) + sigma(i) * tanh(g)
    h_t = sigma(o) * tanh(c_t),   y_t = h_t

Paper: Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735;
the forget gate f is that of Gers, Schmidhuber & Cummins 2000,
https://doi.org/10.1162/089976600300015015.
Carry: h and c, `(B, D)` float32 each.  Cost per step: 8 B D D for inputs of
width D.
Deviations: no peepholes; tanh where 1997 had a logistic function scaled to
(-2, 2) and (-1, 1); gradients cross all steps of a call instead of the
truncation of 1997; b starts at `forget_bias` for f (Jozefowicz et al. 2015).
"""

import math
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.recurrent.cell import Recurrence, add, nothing
from memjax.ops.scans import Cell, State
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class LSTMState(NamedTuple):
  """What an LSTM remembers.

  Attributes:
    h_BD: the last output.
    c_BD: the sum.
  """

  h_BD: jax.Array
  c_BD: jax.Array


def _step(state: State, a_BG: jax.Array) -> State:
  _, c_BD = state
  # sigma(a) = (1 + tanh(a / 2)) / 2 makes all gates one tanh of full width,
  # which a CPU computes six times as fast as one function for each slice.
  scale_G = np.repeat(np.array([0.5, 0.5, 1, 0.5], a_BG.dtype), c_BD.shape[1])
  gates_BG = (
    jnp.tanh(a_BG * scale_G[None]) * scale_G[None] + (1 - scale_G)[None]
  )
  i_BD, f_BD, g_BD, o_BD = jnp.split(gates_BG, 4, axis=1)
  c_BD = f_BD * c_BD + i_BD * g_BD
  return o_BD * jnp.tanh(c_BD), c_BD


def _gates(a_BTG: jax.Array) -> dict[str, jax.Array]:
  i_BTD, f_BTD, _, o_BTD = jnp.split(jax.nn.sigmoid(a_BTG), 4, axis=-1)
  return {'input_gate': i_BTD, 'forget_gate': f_BTD, 'output_gate': o_BTD}


CELL = Cell(add, _step, _gates)


class LSTM(Memory):
  """One layer of long short-term memory.

  Intermediates: `input_gate`, `forget_gate` and `output_gate`.

  Attributes:
    width: D.
    forget_bias: initial value of the forget gate's bias.
  """

  width: int
  forget_bias: float = 1.0

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    require(
      math.isfinite(self.forget_bias),
      'forget_bias',
      self.forget_bias,
      'must be finite',
    )
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> LSTMState:
    return LSTMState(
      nothing(batch_size, self.width), nothing(batch_size, self.width)
    )

  @nn.compact
  def __call__(
    self,
    carry: LSTMState,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[LSTMState, Sequence_BTD]:
    del train
    bias_init = 0.0, self.forget_bias, 0.0, 0.0
    cell = Recurrence(CELL, self.width, 4, bias_init, name='cell')
    state, y_BTD = cell((carry.h_BD, carry.c_BD), x, reset_BT)
    return LSTMState(*state), y_BTD
