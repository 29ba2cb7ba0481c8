"""HGRN: complex units whose forget gates have a floor that each layer raises.

With D complex units, angles theta that are the same at every step, and a floor
l of the layer:

    c_t = silu(W_c x_t + b_c)                              complex, 2 D numbers
    f_t = l + (1 - l) sigma(W_f x_t + b_f)                 (D,)
    h_t = f_t exp(i theta) h_(t-1) + (1 - f_t) c_t
    y_t = W_o norm(sigma(W_g x_t + b_g) * [Re h_t, Im h_t]) + b_o

norm is a layer norm over 2 D numbers. Each unit has a floor of its own. Floors
rise from 0 at the lowest layer and are learned together (`models/floors.py`).

Paper: Qin et al. 2023, https://arxiv.org/abs/2311.04823.
Carry: h `(B, D, 2)` float32, real and imaginary parts.
Cost per step: 5 F D + 2 D D + 4 D for inputs of width F; linear in T.
Parameters: kernels normal of variance 1 / rows, biases 0; theta_j starts at
10000^(-2 j / D), the floors of layer i of L at i / L.
Deviations: i and L count all layers of the Stack. Norms, residuals and the MLP
are the Stack's, where the paper's block has a gated linear unit.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.floors import gates, shared_floors
from memjax.models.sharing import Sharing
from memjax.ops.diagonal import rotating
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

BASE = 10000.0  # of the first angles


class HGRN(Sharing):
  """Turns its units at fixed rates and forgets them at gated ones.

  Intermediates: f as `forget_gate`, `(B, T, D)`.

  Attributes:
    width: D.
    index: i, of the layer in its Stack, which sets it.
    depth: L, of the Stack, which sets it.
  """

  width: int
  index: int = 0
  depth: int = 1

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size, self.width, 2))

  @nn.compact
  def as_layer(
    self,
    carry: jax.Array,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    *,
    train: bool = False,
  ) -> tuple[jax.Array, Sequence_BTD, dict[str, jax.Array]]:
    del train
    units = self.width
    columns = Dense(5 * units, name='input')(x).astype(jnp.float32)
    c, f, gate = jnp.split(columns, [2 * units, 3 * units], axis=-1)
    shared = shared_floors(self, 'hgrn', shared, units, self.depth)
    log_kept_BTD, added_BTD = gates(f, 'hgrn', shared, self.index)
    kept_BTD = jnp.exp(log_kept_BTD)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', kept_BTD)
    c_BTD2 = jnp.stack(jnp.split(nn.silu(c), 2, axis=-1), axis=-1)
    theta_D = self.param('angle', _first_angles, (units,)).astype(jnp.float32)
    carry, h_BTD2 = rotating(
      carry,
      kept_BTD,
      theta_D[None, None],
      added_BTD[..., None] * c_BTD2,
      reset_BT,
    )
    parts = jnp.concatenate([h_BTD2[..., 0], h_BTD2[..., 1]], axis=-1)
    gated = (nn.sigmoid(gate) * parts).astype(x.dtype)
    gated = nn.LayerNorm(name='norm')(gated)
    return carry, Dense(units, name='output')(gated), shared


def _first_angles(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  del key
  (units,) = shape
  return BASE ** (-2 * jnp.arange(units, dtype=jnp.float32) / units)
