"""S4D: each channel has a diagonal state space of its own.

For channel d, with N / 2 complex units, which stand for N with their
conjugates:

    dt_d = exp(s_d),   Lambda_dn = -exp(a_dn) + i w_dn
    lambda = exp(Lambda dt)                                 zero-order hold
    h_t,dn = lambda_dn h_(t-1),dn + ((lambda_dn - 1) / Lambda_dn) x_t,d
    z_t,d = 2 Re(sum_n C_dn h_t,dn) + D_d x_t,d

and the output is (W_a gelu(z) + b_a) * sigma(W_b gelu(z) + b_b).

Paper: Gu et al. 2022, https://arxiv.org/abs/2206.11893.
Carry: h `(B, D, N / 2, 2)` float32, real and imaginary parts.
Cost per step: 2 D D + 2 D N + C D in chunks of C steps; linear in T.
Parameters: S4D-Lin, Lambda_n = -1/2 + i pi n in every channel; dt log-uniform
in [0.001, 0.1]; C complex normal of variance 1, D_d normal of variance 1; W
normal of variance 1 / D, biases 0.
Deviations: the paper computes a segment as one convolution, here each chunk is
one, behind a state that can be reset at any step. The paper trains a, w and s
at a lower rate, `optim.groups` in a config. Norms and residuals are the
Stack's; the paper's blocks have no MLP.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.state_space.discretisation import (
  draw_log_step,
  zero_order_hold,
)
from memjax.ops.invariant import invariant
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class S4D(Memory):
  """A state space of N units for each channel.

  Intermediates: |lambda| as `forget_gate`, `(B, T, D N / 2)`.

  Attributes:
    width: D.
    state_width: N, even.
  """

  width: int
  state_width: int = 32

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    even = self.state_width >= 2 and self.state_width % 2 == 0
    rule = 'must be even and at least 2'
    require(even, 'state_width', self.state_width, rule)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size, self.width, self.state_width // 2, 2))

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
    _, width, pairs, _ = carry.shape
    log_decay_DN, angle_DN, b_DN2 = self._discretised(width, pairs)
    if wants_intermediates(self):
      shape = *x.shape[:2], width * pairs
      modulus = jnp.exp(log_decay_DN).reshape(1, 1, -1)
      self.sow('intermediates', 'forget_gate', jnp.broadcast_to(modulus, shape))
    x32 = x.astype(jnp.float32)
    normal = nn.initializers.normal(1.0)
    # A complex normal has half of its variance in each part.
    part = nn.initializers.normal(0.5**0.5)
    c_DN2 = self.param('readout', part, (width, pairs, 2)).astype(jnp.float32)
    carry, z = invariant(
      carry, log_decay_DN, angle_DN, b_DN2, 2 * c_DN2, x32, reset_BT
    )
    skip_D = self.param('skip', normal, (width,)).astype(jnp.float32)
    z = nn.gelu((z + skip_D[None, None] * x32).astype(x.dtype))
    value, gate = jnp.split(Dense(2 * self.width, name='output')(z), 2, axis=-1)
    return carry, value * nn.sigmoid(gate)

  def _discretised(self, width: int, pairs: int) -> tuple[jax.Array, ...]:
    """log |lambda|, its angle, `(D, N / 2)`, and the factor of inputs."""

    def log_rates(key: jax.Array) -> jax.Array:
      del key
      return jnp.full((width * pairs,), jnp.log(0.5))

    def speeds(key: jax.Array) -> jax.Array:
      del key
      return jnp.tile(jnp.pi * jnp.arange(pairs, dtype=jnp.float32), width)

    # Vectors, not matrices: weight decay leaves vectors alone.
    log_rate, speed = (
      self.param('log_rate', log_rates),
      self.param('speed', speeds),
    )
    log_step_D = self.param('log_step', draw_log_step, (width,))
    rate_DN, speed_DN = (
      a.astype(jnp.float32).reshape(width, pairs)
      for a in (jnp.exp(log_rate), speed)
    )
    dt_D1 = jnp.exp(log_step_D.astype(jnp.float32))[:, None]
    _, angle_DN, b_DN2 = zero_order_hold(rate_DN, speed_DN, dt_D1)
    return -rate_DN * dt_D1, angle_DN, b_DN2
