"""S5: one state space with complex eigenvalues, read by all channels.

With P / 2 complex units, which stand for P with their conjugates:

    dt = exp(s),   Lambda = -exp(a) + i w
    lambda = exp(Lambda dt)                                 zero-order hold
    h_t = lambda h_(t-1) + ((lambda - 1) / Lambda) (B x_t)
    z_t = 2 Re(C h_t) + d x_t

and the output is gelu(z) * sigma(W gelu(z) + b).

Paper: Smith et al. 2022, https://arxiv.org/abs/2208.04933; resets, Lu et al.
2023, https://arxiv.org/abs/2303.03982.
Carry: h `(B, P / 2, 2)` float32, real and imaginary parts.
Cost per step: 2 D P + D D + 2 P; linear in T.
Parameters: Lambda are the eigenvalues with w > 0 of J blocks of the normal part
of HiPPO-LegS, V its eigenvectors; B = V^-1 B', with B' normal of variance
1 / D, and C = C' V, with C' normal of variance 1 / P; dt is log-uniform in
[0.001, 0.1], one for each unit; d normal of variance 1; W of variance 1 / D,
b 0.
Deviations: -Re Lambda is stored as a logarithm, so that no step of the
optimiser makes it unstable; the paper trains a, w and s at a lower rate,
`optim.groups` in a config. Norms and residuals are the Stack's; the paper's
blocks have no MLP.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.state_space.discretisation import (
  draw_log_step,
  zero_order_hold,
)
from memjax.ops.diagonal import complex_product, rotating
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class S5(Memory):
  """A state space whose units rotate and decay.

  Intermediates: |lambda| as `forget_gate`, `(B, T, P / 2)`.

  Attributes:
    width: D.
    state_width: P, a multiple of twice the number of blocks; 0: the multiple
      that is D or next above it.
    blocks: J, of the initial eigenvalues.
  """

  width: int
  state_width: int = 0
  blocks: int = 1

  def __post_init__(self) -> None:
    for field in ('width', 'blocks'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    rule = f'must be a multiple of twice the number of blocks, {self.blocks}'
    whole = self.state_width >= 0 and self.state_width % (2 * self.blocks) == 0
    require(whole, 'state_width', self.state_width, rule)
    super().__post_init__()

  def _pairs(self) -> int:
    """P / 2."""
    block = -(-self.width // (2 * self.blocks))
    return self.state_width // 2 or block * self.blocks

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size, self._pairs(), 2))

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
    pairs, features = carry.shape[1], x.shape[-1]
    eigenvalues, vectors = legs_eigenvectors(pairs, self.blocks)
    modulus_P, angle_P, scale_P2 = self._discretised(eigenvalues)
    if wants_intermediates(self):
      shape = *x.shape[:2], pairs
      self.sow(
        'intermediates', 'forget_gate', jnp.broadcast_to(modulus_P, shape)
      )

    def inputs(key: jax.Array) -> jax.Array:
      real = jax.random.normal(key, (features, 2 * pairs)) * features**-0.5
      return _with_parts(real, vectors.conj())  # V^-1 = V*

    def outputs(key: jax.Array) -> jax.Array:
      real = jax.random.normal(key, (self.width, 2 * pairs))
      return _with_parts(real * (2 * pairs) ** -0.5, vectors).T

    u = x @ self.param('input', inputs).astype(x.dtype)
    u_BTP2 = u.reshape(*x.shape[:2], 2, pairs).astype(jnp.float32)
    u_BTP2 = complex_product(scale_P2[None, None], jnp.moveaxis(u_BTP2, 2, -1))
    carry, h_BTP2 = rotating(carry, modulus_P, angle_P, u_BTP2, reset_BT)
    # Re(C h) = Re C Re h - Im C Im h.
    signed = jnp.stack([h_BTP2[..., 0], -h_BTP2[..., 1]], axis=2)
    parts = signed.reshape(*x.shape[:2], 2 * pairs).astype(x.dtype)
    z = 2 * parts @ self.param('readout', outputs).astype(x.dtype)
    normal = nn.initializers.normal(1.0)
    z += self.param('skip', normal, (features,))[None, None] * x
    z = nn.gelu(z)
    return carry, z * nn.sigmoid(Dense(self.width, name='output')(z))

  def _discretised(self, eigenvalues: np.ndarray) -> tuple[jax.Array, ...]:
    """|lambda|, its angle, `(P / 2,)`, and the scale of inputs, a complex."""

    def fixed(value: np.ndarray) -> jax.Array:
      return jnp.asarray(value, jnp.float32)

    log_rate_P = self.param(
      'log_rate', lambda key: fixed(np.log(-eigenvalues.real))
    )
    speed_P = self.param('speed', lambda key: fixed(eigenvalues.imag))
    log_step_P = self.param('log_step', draw_log_step, eigenvalues.shape)
    rate_P, speed_P, dt_P = (
      jnp.exp(log_rate_P.astype(jnp.float32)),
      speed_P.astype(jnp.float32),
      jnp.exp(log_step_P.astype(jnp.float32)),
    )
    return zero_order_hold(rate_P, speed_P, dt_P)


def legs_eigenvectors(pairs: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
  """Eigenvalues with w > 0, `(P / 2,)`, and their vectors, `(P, P / 2)`.

  HiPPO-LegS is normal up to a matrix of rank 1; without that it is -1/2 plus a
  skew-symmetric matrix, so its eigenvalues are -1/2 + i w.
  """
  size = 2 * pairs // blocks
  root = np.sqrt(2 * np.arange(size) + 1)
  skew = 0.5 * np.outer(root, root)
  skew = np.triu(skew, 1) - np.tril(skew, -1)
  w, v = np.linalg.eigh(-1j * skew)
  keep = w > 0
  eye = np.eye(blocks)
  values = np.tile(-0.5 + 1j * w[keep], blocks)
  return values, np.kron(eye, v[:, keep])


def _with_parts(real: jax.Array, vectors: np.ndarray) -> jax.Array:
  """`(F, P)` times complex `(P, P / 2)`: the real parts, then the imaginary."""
  both = np.concatenate([vectors.real, vectors.imag], axis=1)
  return real @ jnp.asarray(both, jnp.float32)
