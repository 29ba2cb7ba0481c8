"""A memory that reads its segment forward, and another one backward.

    f_t, carry = forward(x_1 ... x_t, carry)
    b_t        = backward(x_n ... x_t),   n the end of the segment or of the run
    y_t = W [f_t, b_t] + b

Two copies of one memory, with parameters of their own. A run goes from a reset
to the step before the next one; the backward memory starts anew in each.

Paper: Schuster & Paliwal 1997, https://doi.org/10.1109/78.650093; with LSTMs,
Graves & Schmidhuber 2005.
Carry: that of the forward memory. The backward memory carries nothing over.
Cost per step: twice that of the memory, and 2 D².
Deviations: the papers sum both maps into the output layer, which is the map W
here. The outputs of a segment depend on all of it, so a stream read in pieces
gives other outputs than the whole. For a task whose rows are whole, T is the
segment.
"""

from collections.abc import Mapping

from flax import linen as nn
import jax.numpy as jnp

from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.types import Carry, Reset_BT, Sequence_BTD


class Bidirectional(Memory):
  """Two copies of a memory, one of them reading backwards.

  Intermediates: those of both copies.

  Attributes:
    width: D, of the inputs too.
    layer: the memory.
  """

  width: int
  layer: Memory

  @property
  def causal(self) -> bool:
    return False

  @property
  def breaks(self) -> Mapping[str, str]:
    return {
      **self.layer.breaks,
      'segments': 'reads backwards from the end of its segment',
    }

  @property
  def horizon(self) -> int:
    return self.layer.horizon

  def with_horizon(self, horizon: int) -> 'Bidirectional':
    return self.clone(layer=self.layer.with_horizon(horizon))

  def initial_carry(self, batch_size: int) -> Carry:
    return self.layer.initial_carry(batch_size)

  @nn.compact
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    forward = self.layer.copy(name='forward')
    backward = self.layer.copy(name='backward')
    carry, f_BTD = forward(carry, x, reset_BT, train=train)
    last_BT = jnp.pad(reset_BT[:, 1:], ((0, 0), (0, 1)), constant_values=True)
    _, b_BTD = backward(
      self.layer.initial_carry(len(x)),
      x[:, ::-1],
      last_BT[:, ::-1],
      train=train,
    )
    both = jnp.concatenate([f_BTD, b_BTD[:, ::-1]], axis=-1)
    return carry, Dense(self.width, name='output')(both)
