"""placeholder until the scan is written"""

from flax import linen as nn
import jax.numpy as jnp

from memjax.models.base import Memory, forget


class LSTM(Memory):
  width: int

  def initial_carry(self, batch_size):
    return (
      jnp.zeros((batch_size, self.width)),
      jnp.zeros((batch_size, self.width)),
    )

  @nn.compact
  def __call__(self, carry, x, reset_BT, *, train=False):
    cell = nn.OptimizedLSTMCell(self.width)
    fresh = self.initial_carry(x.shape[0])

    def step(cell, carry, xs):
      x, r = xs
      carry, y = cell(forget(r, fresh, carry), x)
      return carry, y

    scan = nn.scan(
      step,
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
    )
    return scan(cell, carry, (x, reset_BT))
