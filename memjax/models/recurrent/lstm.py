"""Long short-term memory: gates write, keep and read a sum.

    i, f, g, o = x_t W + h_(t-1) U + b                     D wide each
    c_t = sigma(f) * c_(t-1) + sigma(i) * tanh(g)
    h_t = sigma(o) * tanh(c_t),   y_t = h_t

    coupled            i_t is 1 - sigma(f); Greff et al. 2015,
                       https://arxiv.org/abs/1503.04069
    peepholes          i and f see c_(t-1), o sees c_t, each unit its own:
                       sigma(i + w_i * c_(t-1)); Gers & Schmidhuber 2000,
                       https://doi.org/10.1109/IJCNN.2000.861302
    recurrent_dropout  h_(t-1) * m U with a mask m that all steps of a call
                       share; Gal & Ghahramani 2015,
                       https://arxiv.org/abs/1512.05287

Paper: Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735;
the forget gate f is that of Gers, Schmidhuber & Cummins 2000,
https://doi.org/10.1162/089976600300015015.
Carry: h and c, `(B, D)` float32 each.  Cost per step: 8 B D D for inputs of
width D.
Parameters: W normal of variance 1 / F, U orthogonal, b 0 but for `forget_bias`,
w 0, the last blocks of `bias`.
Deviations: tanh where 1997 had a logistic function scaled to (-2, 2) and
(-1, 1); gradients cross all steps of a call instead of the truncation of 1997;
b starts at `forget_bias` for f (Jozefowicz et al. 2015). The mask m is not in
the carry: it is drawn for each row and each call, and kept over resets. So a
sequence of several segments has several, and evaluation has none.
"""

import functools
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


@functools.cache
def cell(coupled: bool, peepholes: bool) -> Cell:
  """The cell of these options; its pre-activations end with the w, if any."""
  if not coupled and not peepholes:
    return CELL
  names = ('f', 'g', 'o') if coupled else ('i', 'f', 'g', 'o')
  seen = [f'w_{name}' for name in names if name != 'g' and peepholes]

  def merge(z_BG: jax.Array, p_BG: jax.Array) -> jax.Array:
    width = z_BG.shape[1] // len(names)
    return jnp.pad(z_BG + p_BG, ((0, 0), (0, len(seen) * width)))

  def split(a: jax.Array) -> dict[str, jax.Array]:
    parts = jnp.split(a, len(names) + len(seen), axis=-1)
    return dict(zip((*names, *seen), parts, strict=True))

  def step(state: State, a_BG: jax.Array) -> State:
    _, c_BD = state
    a = split(a_BG)

    def gate(name: str, c_BD: jax.Array) -> jax.Array:
      look = a[f'w_{name}'] * c_BD if peepholes else 0
      return jax.nn.sigmoid(a[name] + look)

    f_BD = gate('f', c_BD)
    i_BD = 1 - f_BD if coupled else gate('i', c_BD)
    c_BD = f_BD * c_BD + i_BD * jnp.tanh(a['g'])
    return gate('o', c_BD) * jnp.tanh(c_BD), c_BD

  def gates(a_BTG: jax.Array) -> dict[str, jax.Array]:
    if peepholes:
      return {}
    a = {name: jax.nn.sigmoid(part) for name, part in split(a_BTG).items()}
    shown = {'forget_gate': a['f'], 'output_gate': a['o']}
    return shown | {'input_gate': 1 - a['f']}

  return Cell(merge, step, gates)


class LSTM(Memory):
  """One layer of long short-term memory.

  Intermediates: `input_gate`, `forget_gate` and `output_gate`; none with
  `peepholes`, whose gates depend on more than the inputs and h.

  Attributes:
    width: D.
    forget_bias: initial value of the forget gate's bias.
    coupled: whether the input gate is 1 minus the forget gate.
    peepholes: whether gates see the sum.
    recurrent_dropout: rate on what is read of h, in training.
  """

  width: int
  forget_bias: float = 1.0
  coupled: bool = False
  peepholes: bool = False
  recurrent_dropout: float = 0.0

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    require(
      math.isfinite(self.forget_bias),
      'forget_bias',
      self.forget_bias,
      'must be finite',
    )
    rate = self.recurrent_dropout
    require(0 <= rate < 1, 'recurrent_dropout', rate, 'must be in [0, 1)')
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
    input_bias = () if self.coupled else (0.0,)
    bias_init = *input_bias, self.forget_bias, 0.0, 0.0
    blocks = len(bias_init)
    recurrence = Recurrence(
      cell(self.coupled, self.peepholes),
      self.width,
      blocks,
      bias_init + (0.0,) * ((blocks - 1) * self.peepholes),
      self.recurrent_dropout,
      name='cell',
    )
    before = carry.h_BD, carry.c_BD
    state, y_BTD = recurrence(before, x, reset_BT, train=train)
    return LSTMState(*state), y_BTD
