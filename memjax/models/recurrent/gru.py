"""Gated recurrent unit: one gate mixes old and new, another hides the old.

    r = sigma(x_t W_r + h_(t-1) U_r + b_r)
    u = sigma(x_t W_u + h_(t-1) U_u + b_u)
    n = tanh(x_t W_n + b_n + r * (h_(t-1) U_n + b_h))
    h_t = (1 - u) * n + u * h_(t-1),   y_t = h_t

Paper: Cho et al. 2014, https://arxiv.org/abs/1406.1078.
Carry: h, `(B, D)` float32.  Cost per step: 6 B D D for inputs of width D.
Deviations: r multiplies the product with U_n, and b_h is inside; the paper's
first version multiplies h before the product. This is the variant of cuDNN,
PyTorch and Flax; it needs one product with h per step where the other needs
two.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.recurrent.cell import Recurrence, nothing
from memjax.ops.scans import Cell, State
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


def _merge(z_BG: jax.Array, p_BG: jax.Array) -> jax.Array:
  """r and u are sums; the two parts of n stay apart until r is known."""
  gates = 2 * z_BG.shape[1] // 3
  sums_BG = z_BG[:, :gates] + p_BG[:, :gates]
  return jnp.concatenate([sums_BG, z_BG[:, gates:], p_BG[:, gates:]], axis=1)


def _step(state: State, a_BG: jax.Array) -> State:
  (h_BD,) = state
  _, _, z_BD, p_BD = jnp.split(a_BG, 4, axis=1)
  r_BD, u_BD, _, _ = jnp.split(jax.nn.sigmoid(a_BG), 4, axis=1)
  n_BD = jnp.tanh(z_BD + r_BD * p_BD)
  return (n_BD + u_BD * (h_BD - n_BD),)


def _gates(a_BTG: jax.Array) -> dict[str, jax.Array]:
  r_BTD, u_BTD, _, _ = jnp.split(jax.nn.sigmoid(a_BTG), 4, axis=-1)
  return {'reset_gate': r_BTD, 'update_gate': u_BTD}


CELL = Cell(_merge, _step, _gates)


class GRU(Memory):
  """One layer of gated recurrent units.

  Intermediates: r as `reset_gate` and u as `update_gate`.

  Attributes:
    width: D.
  """

  width: int

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
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
    cell = Recurrence(CELL, self.width, 3, (0.0,) * 4, name='cell')
    (h_BD,), y_BTD = cell((carry,), x, reset_BT)
    return h_BD, y_BTD
