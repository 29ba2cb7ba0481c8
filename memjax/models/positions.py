"""Absolute positions, added in a stack and counted in its carry.

    y_t = x_t + E[p_t],   p_t = 0 at a reset, else p_(t-1) + 1, modulo M

'learned': E is a table of M rows. 'sinusoidal': E[p] holds the sines, then the
cosines of p / 10000^(2i / D); M = 0 counts without end.

Paper: Radford et al. 2019, GPT-2; Vaswani et al. 2017, section 3.5.
Carry: the next position, `(B,)` int32.  Cost per step: B D.
Parameters: E normal of variance 1 / D, as the Stack's table of tokens is: the
normed sum shows as much of the place as of the token. Places that begin far
below the tokens are learned late, and with them to look at one's neighbour.
Deviations: positions start anew when M are used up, where GPT-2 stops.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.types import Carry, Reset_BT, Sequence_BTD

KINDS = ('none', 'learned', 'sinusoidal')
TIMINGS = ('inputs', 'layers')


def positions_in_block(
  next_B: jax.Array, reset_BT: jax.Array, block: int
) -> tuple[jax.Array, jax.Array]:
  """Where each step stands in its block.

  Args:
    next_B: int32, the position the first step has unless it is reset.
    reset_BT: bool, True where positions start at 0 again.
    block: positions are counted modulo this; 0 for no end.

  Returns:
    `(B,)` the position that follows the last step, and `(B, T)` int32
    positions in [0, block).
  """
  steps_BT = jnp.broadcast_to(jnp.arange(reset_BT.shape[1]), reset_BT.shape)
  last_reset_BT = jax.lax.cummax(jnp.where(reset_BT, steps_BT, -1), axis=1)
  age_BT = jnp.where(
    last_reset_BT < 0, next_B[:, None] + steps_BT, steps_BT - last_reset_BT
  ).astype(jnp.int32)
  if not block:
    return age_BT[:, -1] + 1, age_BT
  position_BT = age_BT % block
  return (position_BT[:, -1] + 1) % block, position_BT


def sinusoids(position: jax.Array, width: int) -> jax.Array:
  """`(...)` positions to `(..., width)`, the sines before the cosines."""
  rate = 10_000.0 ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
  rate = rate.reshape((1,) * position.ndim + (-1,))
  angle = position[..., None].astype(jnp.float32) * rate
  return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def check_number(kind: str, number: int, block: int) -> None:
  """Requires a number of positions that fits the layers.

  Args:
    kind: a name of `KINDS`.
    number: of positions before they start anew, a stack's `max_positions`.
    block: of the layers.

  Raises:
    ConfigError: the number does not fit.
  """
  field = 'max_positions'
  if kind == 'none':
    require(not number, field, number, "must be 0 with positions 'none'")
    return
  rule = f'must be 0 or the block of the layers, {block}'
  require(not block or number in (0, block), field, number, rule)
  rule = 'must be given for learned positions: the layers have no blocks'
  fits = kind == 'sinusoidal' or block > 0 or number > 0
  require(fits, field, number, rule)


class Positions(nn.Module):
  """A vector for the place of each step.

  Attributes:
    width: D.
    kind: 'learned' or 'sinusoidal'.
    number: M, of positions; 0 for no end.
  """

  width: int
  kind: str
  number: int

  @nn.compact
  def __call__(
    self, carry: Carry, reset_BT: Reset_BT
  ) -> tuple[Carry, Sequence_BTD]:
    carry, position_BT = positions_in_block(carry, reset_BT, self.number)
    if self.kind == 'learned':
      table = nn.Embed(self.number, self.width, name='table')
      return carry, table(position_BT)
    return carry, sinusoids(position_BT, self.width)[..., : self.width]
