"""The parameters of a recurrent cell, shared by all cells.

W is drawn with variance 1/F, U is orthogonal block by block, one block for each
product of the cell with h; each cell chooses its initial bias.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memjax.models.base import wants_intermediates
from memjax.ops.products import product
from memjax.ops.scans import Cell, State, Weights, recur
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Recurrence(nn.Module):
  """Runs a cell over time with parameters of its own.

  Intermediates: the gates of the cell, `(B, T, D)` each.

  Attributes:
    cell: what a step does.
    width: D, of the state.
    blocks: products of width D that the cell makes with x, and with h.
    bias_init: initial value of the bias of each block of pre-activations.
    dropout: rate on h where U multiplies it; a call has one mask for all steps.
  """

  cell: Cell
  width: int
  blocks: int
  bias_init: tuple[float, ...]
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self,
    state: State,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[State, Sequence_BTD]:
    shape = x.shape[-1], self.blocks * self.width
    weights = Weights(
      self.param('input_kernel', nn.initializers.lecun_normal(), shape),
      self.param('recurrent_kernel', self._orthogonal),
      self.param('bias', self._bias),
    )
    mask_BD = None
    if train and self.dropout:
      kept, key = 1 - self.dropout, self.make_rng('dropout')
      keeps_BD = jax.random.bernoulli(key, kept, state[0].shape)
      mask_BD = jnp.where(keeps_BD, 1 / kept, 0.0).astype(state[0].dtype)
    after, h_BTD = recur(
      self.cell, weights, state, x, reset_BT, mask_BD=mask_BD
    )
    if wants_intermediates(self):
      a = preactivations(self.cell, weights, state, x, h_BTD, reset_BT)
      for name, gate_BTD in self.cell.gates(a).items():
        self.sow('intermediates', name, gate_BTD)
    return after, h_BTD

  def _orthogonal(self, key: jax.Array) -> jax.Array:
    draw = nn.initializers.orthogonal()
    keys = jax.random.split(key, self.blocks)
    return jnp.concatenate([draw(k, (self.width,) * 2) for k in keys], axis=1)

  def _bias(self, key: jax.Array) -> jax.Array:
    del key
    return jnp.repeat(jnp.asarray(self.bias_init, jnp.float32), self.width)


def preactivations(
  cell: Cell,
  weights: Weights,
  state: State,
  x_BTF: Inputs_BTF,
  h_BTD: Sequence_BTD,
  reset_BT: Reset_BT,
) -> Float[Array, 'B T G']:
  """a of all steps again, from the inputs of `recur` and the h it returned."""
  before_BTD = jnp.concatenate([state[0][:, None], h_BTD[:, :-1]], axis=1)
  before_BTD = jnp.where(reset_BT[..., None], 0, before_BTD)
  z_BTG, p_BTG = (
    product(v, kernel, state[0].dtype)
    for v, kernel in (
      (x_BTF, weights.input_FG),
      (before_BTD, weights.recurrent_DG),
    )
  )
  return jax.vmap(cell.merge)(z_BTG, p_BTG) + weights.bias_G[None, None]


def add(z_BG: jax.Array, p_BG: jax.Array) -> jax.Array:
  """The merge of cells whose pre-activations are sums of both products."""
  return z_BG + p_BG


def nothing(batch_size: int, width: int) -> jax.Array:
  """One array of an empty state, zeros."""
  return jnp.zeros((batch_size, width), jnp.float32)
