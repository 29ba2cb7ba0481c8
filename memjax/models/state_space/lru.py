"""LRU: complex units that rotate and decay at rates of their own.

    lambda = exp(-exp(nu) + i exp(phi)),   |lambda| < 1 whatever nu
    h_t = lambda h_(t-1) + exp(g) (B x_t)            P complex units
    z_t = Re(C h_t) + d x_t

and the output is (W_a gelu(z) + b_a) * sigma(W_b gelu(z) + b_b).

Paper: Orvieto et al. 2023, https://arxiv.org/abs/2303.06349.
Carry: h `(B, P, 2)` float32, real and imaginary parts.
Cost per step: 4 D P + 2 D D + 4 P; linear in T.
Parameters: |lambda|^2 is uniform in [r_min^2, r_max^2] and the angle in
[0, max_angle], so exp(nu) = -log |lambda|; exp(g) starts at
sqrt(1 - |lambda|^2), which gives h the power of B x; B is normal of variance
1 / (2 D) in both parts, C of variance 1 / P, d of variance 1; W_a and W_b of
variance 1 / D, their biases 0.
Deviations: the paper trains nu, phi, g and B at a lower rate and without weight
decay; `optim.groups` says so in a config. Norms and residuals are the Stack's;
the paper's blocks have no MLP.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.diagonal import rotating
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class LRU(Memory):
  """Linear recurrent units.

  Intermediates: |lambda| as `forget_gate`, `(B, T, P)`.

  Attributes:
    width: D.
    state_width: P; 0: D.
    r_min: the least modulus at the start.
    r_max: the largest, below 1.
    max_angle: the largest angle at the start, in radians.
  """

  width: int
  state_width: int = 0
  r_min: float = 0.9
  r_max: float = 0.999
  max_angle: float = 2 * np.pi

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    rule = 'must be at least 0'
    require(self.state_width >= 0, 'state_width', self.state_width, rule)
    rule = 'must be at least 0 and below r_max'
    require(0 <= self.r_min < self.r_max, 'r_min', self.r_min, rule)
    require(self.r_max < 1, 'r_max', self.r_max, 'must be below 1')
    rule = 'must be above 0'
    require(self.max_angle > 0, 'max_angle', self.max_angle, rule)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size, self.state_width or self.width, 2))

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
    units = carry.shape[1]
    modulus_P, angle_P, scale_P = self._factors(units)
    if wants_intermediates(self):
      shape = *x.shape[:2], units
      self.sow(
        'intermediates', 'forget_gate', jnp.broadcast_to(modulus_P, shape)
      )
    half = nn.initializers.variance_scaling(0.5, 'fan_in', 'normal')
    u = Dense(2 * units, False, kernel_init=half, name='input')(x)
    u_BTP2 = jnp.stack(jnp.split(u.astype(jnp.float32), 2, axis=-1), axis=-1)
    u_BTP2 *= scale_P[None, None, :, None]
    carry, h_BTP2 = rotating(carry, modulus_P, angle_P, u_BTP2, reset_BT)
    # Re(C h) = Re C Re h - Im C Im h; the sign is a part of the kernel.
    parts = h_BTP2.reshape(*x.shape[:2], 2 * units).astype(x.dtype)
    power = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
    z = Dense(self.width, False, kernel_init=power, name='readout')(parts)
    normal = nn.initializers.normal(1.0)
    z += self.param('skip', normal, (x.shape[-1],))[None, None] * x
    value, gate = jnp.split(
      Dense(2 * self.width, name='output')(nn.gelu(z)), 2, axis=-1
    )
    return carry, value * nn.sigmoid(gate)

  def _factors(self, units: int) -> tuple[jax.Array, ...]:
    """|lambda|, its angle and exp(g), `(P,)` each, float32."""

    def draw(key: jax.Array, low: float, high: float) -> jax.Array:
      return jax.random.uniform(key, (units,), jnp.float32, low, high)

    def nu(key: jax.Array) -> jax.Array:
      return jnp.log(-0.5 * jnp.log(draw(key, self.r_min**2, self.r_max**2)))

    def phi(key: jax.Array) -> jax.Array:
      return jnp.log(self.max_angle * draw(key, 1e-6, 1.0))

    nu_P = self.param('nu', nu).astype(jnp.float32)
    phi_P = self.param('phi', phi).astype(jnp.float32)
    rate_P = jnp.exp(nu_P)

    def g(key: jax.Array) -> jax.Array:
      del key
      return 0.5 * jnp.log(-jnp.expm1(-2 * rate_P))

    g_P = self.param('g', g).astype(jnp.float32)
    return jnp.exp(-rate_P), jnp.exp(phi_P), jnp.exp(g_P)
