"""The delta rule of 2021: each write replaces what the key reads so far.

With phi(a) = dpfp(a) / |dpfp(a)|_1, r = max(0, [a, -a]), i modulo 2 K and for
each head:

    dpfp(a)_(j, i) = r_i r_(i-j),   i = 1 ... 2 K, j = 1 ... nu
    w_t = w_(t-1) + sigma(b_t) phi(k_t) (v_t - w_(t-1)' phi(k_t))'
    y_t = w_t' phi(q_t)

q, k, v and b (one number a head) are linear in x; the output is W_o [y]_heads.

Paper: Schlag et al. 2021, https://arxiv.org/abs/2102.11174. A segment is read
in chunks of C steps after Yang et al. 2024, https://arxiv.org/abs/2406.06484
(`ops/linear_attention.py`).
Carry: w `(B, H, 2 K nu, K)`, float32.
Cost per step: 4 B D D, and with K' = 2 K nu features
B H (3 K' K + C (5 K' + 3 K) / 2); linear in T.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: |dpfp|_1 counts as 1e-6 where it is less; q, k and v have a bias; no
dropout. Norms, residuals and the MLP are the Stack's.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.linear_attention import LEAST, project
from memjax.ops.linear_attention import CHUNK, correct
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class SchlagDelta(Memory):
  """Corrects the value at a key, by the share that the step says.

  Intermediates: sigma(b) as `write_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    head_width: K.
    nu: features for each number of a key and its negative. 2 K nu features
      hold at most 2 K nu keys without interference.
    chunk: C, the number of steps read at once, at most.
  """

  width: int
  head_width: int
  nu: int = 1
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    require(self.nu >= 1, 'nu', self.nu, 'must be at least 1')
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    heads = number_of_heads(self.width, self.head_width)
    features = 2 * self.head_width * self.nu
    return jnp.zeros((batch_size, heads, features, self.head_width))

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
    q_BTHK, k_BTHK, v_BTHK = project(x, self.width, self.head_width)
    beta_BTH = Dense(q_BTHK.shape[2], name='beta')(x).astype(jnp.float32)
    gate_BTH = nn.sigmoid(beta_BTH)
    if wants_intermediates(self):
      self.sow('intermediates', 'write_gate', gate_BTH)
    k_BTHF = normalised(dpfp(k_BTHK, self.nu))
    after, y_BTHK = correct(
      carry,
      normalised(dpfp(q_BTHK, self.nu)),
      k_BTHF,
      gate_BTH[..., None] * v_BTHK,
      gate_BTH[..., None] * k_BTHF,
      reset_BT,
      chunk=self.chunk,
    )
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1).astype(x.dtype)
    return after, Dense(self.width, name='output')(y_BTI)


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
