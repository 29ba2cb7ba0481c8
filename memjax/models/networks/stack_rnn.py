"""Stack-RNN: a recurrent network that pushes onto and pops from a stack.

    h_t = max(0, x_t W + [h_(t-1), c_1] U + b)             c_1 the stack's top
    p   = softmax(h_t A + a),   v = h_t V + w              p of push, pop, no-op
    c_i <- p_push c_(i-1) + p_pop c_(i+1) + p_noop c_i,    i = 1 ... M

with c_0 = v and c_(M+1) = 0: a value pushed below the last cell is lost, and a
pop moves a zero in. y_t = h_t; the stack after step t is read at t + 1.

Paper: Joulin & Mikolov 2015, https://arxiv.org/abs/1503.01007, in the form of
Deletang et al. 2022, https://arxiv.org/abs/2207.02098, and their code: one
stack, a simple recurrent controller with max(0, .), V without a squashing
function, an empty cell being 0 where Joulin & Mikolov have -1.
Carry: h, `(B, D)`, and the cells, `(B, M, K)`, top first; float32.
Cost per step: B D (F + D + K) + B D (K + 3) + 3 B M K; a segment's memory grows
with T M K in training.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: M is a setting, and the paper's M suits its longest sequence; one
kernel reads [h, c_1], so U starts with variance 1 / (D + K); the published code
multiplies x and c_1 by one kernel and h by another.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.steps import walk
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

Rewrite: TypeAlias = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Cells(NamedTuple):
  """A controller and what it writes on.

  Attributes:
    h_BD: float32, the controller's last output.
    cell_BMK: float32, the cells; the controller reads the first.
  """

  h_BD: jax.Array
  cell_BMK: jax.Array


class Controller(nn.Module):
  """A simple recurrent network that reads and rewrites a memory of cells.

  Intermediates: `action_weights`, `(B, T, 1, A)`.

  Attributes:
    width: D.
    actions: A, the number of actions.
    rewrite: cells `(B, M, K)`, the actions' shares `(B, A)` and a value
      `(B, K)` to the next cells; all float32.
    hidden: widths of the hidden layers that make the value of h, with
      max(0, .) after each.
  """

  width: int
  actions: int
  rewrite: Rewrite
  hidden: tuple[int, ...] = ()

  @nn.compact
  def __call__(
    self, carry: Cells, x: Inputs_BTF, reset_BT: Reset_BT
  ) -> tuple[Cells, Sequence_BTD]:
    cell_width = carry.cell_BMK.shape[2]

    def kernel(name: str, rows: int, columns: int) -> jax.Array:
      shape = rows, columns
      return self.param(f'{name}_kernel', nn.initializers.lecun_normal(), shape)

    def bias(name: str, columns: int) -> jax.Array:
      return self.param(f'{name}_bias', nn.initializers.zeros, (columns,))[None]

    z_BTD = Dense(self.width, name='input')(x)
    recurrent = kernel('recurrent', self.width + cell_width, self.width)
    sizes = self.width, *self.hidden, cell_width
    (first, shift), *layers = [
      (
        kernel(f'value_{i}', *sizes[i : i + 2]),
        bias(f'value_{i}', sizes[i + 1]),
      )
      for i in range(len(sizes) - 1)
    ]
    action = kernel('action', self.width, self.actions)
    first = jnp.concatenate([action, first], axis=1)
    shift = jnp.concatenate([bias('action', self.actions), shift], axis=1)

    wanted = wants_intermediates(self)

    def step(
      carry: Cells, z_BD: jax.Array
    ) -> tuple[Cells, tuple[jax.Array, list[jax.Array]]]:
      read = jnp.concatenate([carry.h_BD, carry.cell_BMK[:, 0]], axis=1)
      h_BD = jax.nn.relu(z_BD + read.astype(z_BD.dtype) @ recurrent)
      logits_BA, value = jnp.split(h_BD @ first + shift, [self.actions], 1)
      for w, b in layers:
        value = jax.nn.relu(value) @ w + b
      share_BA = jax.nn.softmax(logits_BA.astype(jnp.float32))
      cell_BMK = self.rewrite(
        carry.cell_BMK, share_BA, value.astype(jnp.float32)
      )
      shown = [share_BA[:, None]] if wanted else []
      return Cells(h_BD.astype(jnp.float32), cell_BMK), (h_BD, shown)

    fresh = jax.tree.map(jnp.zeros_like, carry)
    carry, (h_BTD, shown) = walk(step, fresh, carry, z_BTD, reset_BT)
    for weights in shown:
      self.sow('intermediates', 'action_weights', weights)
    return carry, h_BTD


def blank(batch_size: int, width: int, slots: int, cell_width: int) -> Cells:
  """The controller and the cells of an empty memory."""
  return Cells(
    jnp.zeros((batch_size, width)),
    jnp.zeros((batch_size, slots, cell_width)),
  )


def check_cells(width: int, slots: int, cell_width: int) -> None:
  """Raises ConfigError unless there is at least one of each."""
  sizes = {'width': width, 'slots': slots, 'cell_width': cell_width}
  for field, value in sizes.items():
    require(value >= 1, field, value, 'must be at least 1')


def push_and_pop(
  cell_BMK: jax.Array, share_BA: jax.Array, value_BK: jax.Array
) -> jax.Array:
  """The stack after pushing the value, popping and neither, in shares."""
  empty = jnp.zeros_like(cell_BMK[:, :1])
  pushed = jnp.concatenate([value_BK[:, None], cell_BMK[:, :-1]], axis=1)
  popped = jnp.concatenate([cell_BMK[:, 1:], empty], axis=1)
  push, pop, no_op = jnp.split(share_BA[..., None], 3, axis=1)
  return push * pushed + pop * popped + no_op * cell_BMK


class StackRNN(Memory):
  """A layer that remembers on a stack.

  Attributes:
    width: D, of the controller.
    slots: M, cells of the stack.
    cell_width: K, the width of a cell.
  """

  width: int
  slots: int
  cell_width: int = 8

  def __post_init__(self) -> None:
    check_cells(self.width, self.slots, self.cell_width)
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
    controller = Controller(self.width, 3, push_and_pop, name='controller')
    return controller(carry, x, reset_BT)
