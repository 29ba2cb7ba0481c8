"""Learned absolute positions, as a memory that counts.

    y_t = x_t + E[p_t],   p_t = 0 at a reset, else (p_(t-1) + 1) mod context

Paper: Radford et al. 2019, GPT-2; Vaswani et al. 2017, section 3.5.
Carry: the next position, `(B,)` int32.  Cost per step: B T D.
Parameters: E normal of variance 1 / D, as the Stack's table of tokens is: the
normed sum shows as much of the place as of the token. Places that begin far
below the tokens are learned late, and with them to look at one's neighbour.
Deviations: the context starts anew when it is full, where GPT-2 stops.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.types import Carry, Reset_BT, Sequence_BTD


def positions_in_context(
  next_B: jax.Array, reset_BT: jax.Array, context: int
) -> tuple[jax.Array, jax.Array]:
  """Where each step stands in its context.

  Args:
    next_B: int32, the position the first step has unless it is reset.
    reset_BT: bool, True where positions start at 0 again.
    context: positions are counted modulo this.

  Returns:
    `(B,)` the position that follows the last step, and `(B, T)` int32
    positions in [0, context).
  """
  steps_BT = jnp.broadcast_to(jnp.arange(reset_BT.shape[1]), reset_BT.shape)
  last_reset_BT = jax.lax.cummax(jnp.where(reset_BT, steps_BT, -1), axis=1)
  age_BT = jnp.where(
    last_reset_BT < 0, next_B[:, None] + steps_BT, steps_BT - last_reset_BT
  )
  position_BT = (age_BT % context).astype(jnp.int32)
  return (position_BT[:, -1] + 1) % context, position_BT


class LearnedPositions(Memory):
  """Adds a learned vector for the place in the context.

  Attributes:
    width: D.
    context: how many positions there are.
  """

  width: int
  context: int

  def __post_init__(self) -> None:
    require(self.context >= 1, 'context', self.context, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Carry:
    return jnp.zeros((batch_size,), jnp.int32)

  @nn.compact
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    del train
    carry, position_BT = positions_in_context(carry, reset_BT, self.context)
    table = nn.Embed(self.context, self.width, name='table')
    return carry, x + table(position_BT)
