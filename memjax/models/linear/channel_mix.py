"""RWKV's channel mix: an MLP that reads the step before as well.

With d_t = x_(t-1) - x_t, the token shift:

    y_t = W_v max(0, W_k (x_t + d_t * mu_k))^2                `ChannelMix`
    y_t = sigma(W_r (x_t + d_t * mu_r)) * that                `GatedChannelMix`

It has the place of the MLP in blocks of RWKV-7 and, gated, of RWKV-6. In a
Stack it is a layer of its own, `pattern='layer channel_mix'` and `mlp=0`.

Paper: Peng et al. 2025, https://arxiv.org/abs/2503.14456; gated, Peng et al.
2024, https://arxiv.org/abs/2404.05892.
Carry: the last input, `(B, D)` float32.
Cost per step: 2 r D D with r D hidden units, gated D D more; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; of unit n of D, in
layer i of L with c = 1 - i / L: mu_k is 1 - (n / D)^(c^4), gated mu_k and mu_r
are 1 - (n / D)^c.
Deviations: the code of the papers draws W_k orthogonal and W_v 0. i and L count
all layers of the Stack.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.models.mixing import shift
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class ChannelMix(Memory):
  """Squared units of each step and the one before.

  Attributes:
    width: D.
    ratio: r, hidden units as a multiple of the width.
    index: i, of the layer in its Stack, which sets it.
    depth: L, of the Stack, which sets it.
  """

  width: int
  ratio: float = 4.0
  index: int = 0
  depth: int = 1

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    some = self.ratio * self.width >= 1
    require(some, 'ratio', self.ratio, 'must make at least one hidden unit')
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return 1

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size, self.width))

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
    last, before = shift(carry, x, reset_BT)
    c = 1 - self.index / self.depth
    x_k = self.shifted('shift', x, before, self.power(c))
    units = Dense(int(self.ratio * self.width), False, name='key')(x_k)
    squares = jnp.square(nn.relu(units))
    y = Dense(self.width, False, name='value')(squares)
    return last, self.gated(y, x, before)

  def power(self, c: float) -> float:
    """That of n / D in the first shares of the step before."""
    return c**4

  def shifted(
    self, name: str, x: jax.Array, before: jax.Array, power: float
  ) -> jax.Array:
    """Between each step and the one before."""
    first = 1 - (np.arange(self.width) / self.width) ** power
    start = jnp.asarray(first, jnp.float32)
    mu = self.param(name, lambda key: start)
    return x + (before - x) * mu[None, None]

  def gated(
    self, y: Sequence_BTD, x: Inputs_BTF, before: jax.Array
  ) -> Sequence_BTD:
    """The output."""
    del x, before
    return y


class GatedChannelMix(ChannelMix):
  """Its outputs are gated by each step and the one before.

  Attributes:
    ratio: r, hidden units as a multiple of the width.
  """

  ratio: float = 3.5

  def power(self, c: float) -> float:
    return c

  def gated(
    self, y: Sequence_BTD, x: Inputs_BTF, before: jax.Array
  ) -> Sequence_BTD:
    c = 1 - self.index / self.depth
    x_r = self.shifted('gate_shift', x, before, self.power(c))
    return y * nn.sigmoid(Dense(self.width, False, name='receptance')(x_r))
