"""Simple recurrent network: the last output is read again with the next input.

    h_t = f(x_t W + h_(t-1) U + b),   f = tanh, or max(0, .)
    y_t = h_t

Paper: Elman 1990, Finding structure in time,
https://doi.org/10.1207/s15516709cog1402_1.
Carry: h, `(B, D)` float32.  Cost per step: 2 B D D for inputs of width D.
Deviations: f is tanh where Elman had the logistic function; gradients cross all
steps of a call, where his stopped at each.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.recurrent.cell import Recurrence, add, nothing
from memjax.ops.scans import Cell, State
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


def _tanh(state: State, a_BD: jax.Array) -> State:
  del state
  return (jnp.tanh(a_BD),)


def _relu(state: State, a_BD: jax.Array) -> State:
  del state
  return (jax.nn.relu(a_BD),)


CELLS = {'tanh': Cell(add, _tanh), 'relu': Cell(add, _relu)}


class RNN(Memory):
  """One layer of simple recurrent units.

  Attributes:
    width: D.
    activation: 'tanh' or 'relu'.
  """

  width: int
  activation: str = 'tanh'

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    require(
      self.activation in CELLS,
      'activation',
      self.activation,
      f'must be one of {", ".join(CELLS)}',
    )
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    return nothing(batch_size, self.width)

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
    cell = Recurrence(
      CELLS[self.activation], self.width, 1, (0.0,), name='cell'
    )
    (h_BD,), y_BTD = cell((carry,), x, reset_BT)
    return h_BD, y_BTD
