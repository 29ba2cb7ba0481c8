"""Tape-RNN: a recurrent network with a circular tape and one head on it.

    h_t = max(0, x_t W + [h_(t-1), c_1] U + b)       c_1 the cell at the head
    p   = softmax(h_t A + a),   v = MLP(h_t)
    d   = (v, c_2, ..., c_M)                         the head's cell is written
    c_i <- sum_j p_j d_(i + m_j),   m = (0, 1, -1, jump, -jump)

Cells are counted from the head and modulo M: the tape rolls under it. Each of
the five actions writes; then the head stays, moves one cell to either side, or
jumps. Without a jump there are the first three. y_t = h_t; the tape after step
t is read at t + 1.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098, and its code; a
relative of the Baby-NTM of Suzgun et al. 2019,
https://arxiv.org/abs/1911.03329.
Carry: h, `(B, D)`, and the tape, `(B, M, K)`, the head's cell first; float32.
Cost per step: B D (F + D + K), B D (P + A) + B P P + B P K of the MLP of width
P and the A actions, and A B M K; a segment's memory grows with T M K in
training.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: the length of a jump is a setting; in the paper it is the length of
the input, which is unknown in a stream. One tape. Kernels as in `stack_rnn`.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.networks.stack_rnn import (
  Cells,
  Controller,
  blank,
  check_cells,
)
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


def write_and_move(
  cell_BMK: jax.Array,
  share_BA: jax.Array,
  value_BK: jax.Array,
  moves: tuple[int, ...],
) -> jax.Array:
  """The tape with the value at the head, after each move, in shares.

  Args:
    cell_BMK: the tape, the head's cell first.
    share_BA: of each move.
    value_BK: what is written.
    moves: the number of cells that each move goes on.

  Returns:
    The tape, the new head's cell first.
  """
  written = jnp.concatenate([value_BK[:, None], cell_BMK[:, 1:]], axis=1)
  shares = jnp.split(share_BA[..., None], len(moves), axis=1)
  rolled = [jnp.roll(written, -move, axis=1) for move in moves]
  parts = (s * tape for s, tape in zip(shares, rolled, strict=True))
  return sum(parts, jnp.zeros_like(written))


class TapeRNN(Memory):
  """A layer that remembers on a tape.

  Attributes:
    width: D, of the controller.
    slots: M, cells of the tape.
    cell_width: K, the width of a cell.
    jump: the number of cells that a jump moves the head; 0 for no jumps.
    mlp_width: of the two hidden layers of the MLP; 0 for a linear map.
  """

  width: int
  slots: int
  cell_width: int = 8
  jump: int = 0
  mlp_width: int = 64

  def __post_init__(self) -> None:
    check_cells(self.width, self.slots, self.cell_width)
    require(self.jump >= 0, 'jump', self.jump, 'must be at least 0')
    rule = 'must be at least 0'
    require(self.mlp_width >= 0, 'mlp_width', self.mlp_width, rule)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Cells:
    return blank(batch_size, self.width, self.slots, self.cell_width)

  @nn.compact
  def __call__(
    self,
    carry: Cells,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cells, Sequence_BTD]:
    del train
    moves = (0, 1, -1) + ((self.jump, -self.jump) if self.jump else ())
    controller = Controller(
      self.width,
      len(moves),
      functools.partial(write_and_move, moves=moves),
      hidden=(self.mlp_width,) * 2 if self.mlp_width else (),
      name='controller',
    )
    return controller(carry, x, reset_BT)
