"""Fast weights: a matrix of outer products, written and read at every step.

`AdditiveFastWeights` is linear attention. With phi(a) = elu(a) + 1 and for each
head:

    w_t = w_(t-1) + phi(k_t) v_t',   z_t = z_(t-1) + phi(k_t)
    y_t = w_t' phi(q_t) / (z_t · phi(q_t))

`DeltaFastWeights` writes what is missing instead, and so can overwrite. With
phi(a) = dpfp(a) / |dpfp(a)|_1, r = max(0, [a, -a]) and i modulo 2 K:

    dpfp(a)_(j, i) = r_i r_(i-j),   i = 1 ... 2 K, j = 1 ... nu
    w_t = w_(t-1) + sigma(b_t) phi(k_t) (v_t - w_(t-1)' phi(k_t))'
    y_t = w_t' phi(q_t)

q, k, v (and b, a number a head) are linear in x; the output is W_o [y]_heads.

Paper: Schmidhuber 1992, https://doi.org/10.1162/neco.1992.4.1.131;
Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236 (additive); Schlag
et al. 2021, https://arxiv.org/abs/2102.11174 (delta). Read in chunks of C steps
after Yang et al. 2024, https://arxiv.org/abs/2406.06484: `ops.fast_weights`.
Carry: additive w `(B, H, K, K)` and z `(B, H, K)`, delta w `(B, H, 2 K nu, K)`;
float32.
Cost per step: B (3 F + D) D; additive B H (2 K K + 2 C K); delta with its
K' = 2 K nu features B H (3 K' K + C (5 K' + 3 K) / 2); linear in T.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: z · phi(q) and |dpfp|_1 count as 1e-6 where they are less; delta has
a bias on q, k and v; no dropout. Norms, residuals and the MLP are the Stack's.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memjax.errors import require
from memjax.models.base import Memory, shows
from memjax.models.transformer import check_heads
from memjax.ops.fast_weights import add, correct
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

LEAST = 1e-6  # of a divisor


class Sums(NamedTuple):
  """What additive fast weights remember.

  Attributes:
    w_BHKK: float32 sums of outer products of keys and values.
    z_BHK: float32 sums of keys.
  """

  w_BHKK: jax.Array
  z_BHK: jax.Array


class AdditiveFastWeights(Memory):
  """Adds up outer products and divides by what it has added up.

  Attributes:
    width: D.
    heads: H, a divisor of D.
  """

  width: int
  heads: int

  def __post_init__(self) -> None:
    check_heads(self.width, self.heads)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Sums:
    keys = batch_size, self.heads, self.width // self.heads
    return Sums(jnp.zeros((*keys, keys[-1])), jnp.zeros(keys))

  @nn.compact
  def __call__(
    self,
    carry: Sums,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Sums, Sequence_BTD]:
    del train
    q_BTHK, k_BTHK, v_BTHK = project(x, self.width, self.heads)
    ones_BTH1 = jnp.ones_like(v_BTHK[..., :1])
    w_BHKV, y_BTHV = add(
      jnp.concatenate([carry.w_BHKK, carry.z_BHK[..., None]], axis=3),
      nn.elu(q_BTHK) + 1,
      nn.elu(k_BTHK) + 1,
      jnp.concatenate([v_BTHK, ones_BTH1], axis=3),
      reset_BT,
    )
    y_BTHK = y_BTHV[..., :-1] / jnp.maximum(y_BTHV[..., -1:], LEAST)
    y_BTD = y_BTHK.reshape(*x.shape[:2], self.width).astype(x.dtype)
    after = Sums(w_BHKV[..., :-1], w_BHKV[..., -1])
    return after, nn.Dense(self.width, name='output')(y_BTD)


class DeltaFastWeights(Memory):
  """Corrects what it reads at a key, by as much as the step asks for.

  When asked it shows sigma(b) as `write_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    heads: H, a divisor of D.
    nu: features for each number of a key and its negative; as many as there
      are features can be told apart.
  """

  width: int
  heads: int
  nu: int = 1

  def __post_init__(self) -> None:
    check_heads(self.width, self.heads)
    require(self.nu >= 1, 'nu', self.nu, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    head_width = self.width // self.heads
    features = 2 * head_width * self.nu
    return jnp.zeros((batch_size, self.heads, features, head_width))

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
    q_BTHK, k_BTHK, v_BTHK = project(x, self.width, self.heads)
    beta_BTH = nn.Dense(self.heads, name='beta')(x).astype(jnp.float32)
    gate_BTH = nn.sigmoid(beta_BTH)
    if shows(self):
      self.sow('intermediates', 'write_gate', gate_BTH)
    after, y_BTHK = correct(
      carry,
      normalised(dpfp(q_BTHK, self.nu)),
      normalised(dpfp(k_BTHK, self.nu)),
      v_BTHK,
      gate_BTH,
      reset_BT,
    )
    y_BTD = y_BTHK.reshape(*x.shape[:2], self.width).astype(x.dtype)
    return after, nn.Dense(self.width, name='output')(y_BTD)


def project(
  x: Inputs_BTF, width: int, heads: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Queries, keys and values `(B, T, H, K)`, float32."""
  qkv = nn.Dense(3 * width, name='qkv')(x).astype(jnp.float32)
  qkv = qkv.reshape(*x.shape[:2], 3, heads, width // heads)
  return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]


def dpfp(
  a_BTHK: Float[Array, 'B T H K'], nu: int
) -> Float[Array, 'B T H features']:
  """The deterministic parameter-free projection, 2 K nu numbers, none < 0."""
  r = nn.relu(jnp.concatenate([a_BTHK, -a_BTHK], axis=3))
  rolled = [jnp.roll(r, j, axis=3) for j in range(1, nu + 1)]
  return jnp.concatenate([r * other for other in rolled], axis=3)


def normalised(a: jax.Array) -> jax.Array:
  """Divided by its sum."""
  return a / jnp.maximum(a.sum(axis=-1, keepdims=True), LEAST)
