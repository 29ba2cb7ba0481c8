"""Full attention: each step sees all steps of its run, later ones too.

    q_t, k_t, v_t = W x_t + b
    a_ts = softmax_s((q_t · k_s + q_t · r_(s - t)) / sqrt(K))
    y_t  = W_o [sum_s a_ts v_s]_heads

s goes over the steps of the segment that belong to the run of t. A run goes
from a reset to the step before the next one, so padding and packed rows need no
mask. Without positions r is 0 and the layer does not know the order;
`Stack(positions='sinusoidal')` adds absolute positions. With positions 'shaw'
distances below -clip and above clip count as these.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, the encoder;
Devlin et al. 2018, https://arxiv.org/abs/1810.04805; for r, Shaw et al. 2018,
https://arxiv.org/abs/1803.02155.
Carry: the number of steps since the last reset, `(B,)` int32, which no output
depends on.
Cost per step: 4 D H K + 2 T H K; scores grow with T T.
Parameters: kernels and r normal, of variance 1 / D and 1 / K; biases 0.
Deviations: outputs depend on all of the segment, so a stream read in pieces
gives other outputs than the whole. No dropout on the weights. Shaw et al. also
add vectors of the distance to the values. Norms, residuals and the MLP are the
Stack's.
"""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.models.positions import positions_in_block
from memjax.types import Reset_BT, Sequence_BTD

POSITIONS = ('none', 'shaw')


class FullAttention(Memory):
  """Attention to all steps of the run that the segment holds.

  Intermediates: `step_weights`, `(B, T, H, T)`, shares of the segment's steps.

  Attributes:
    width: D.
    head_width: K.
    positions: 'none' or 'shaw'.
    clip: the largest distance of 'shaw'.
  """

  width: int
  head_width: int
  positions: str = 'none'
  clip: int = 16

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    rule = f'must be one of {", ".join(POSITIONS)}'
    require(self.positions in POSITIONS, 'positions', self.positions, rule)
    require(self.clip >= 1, 'clip', self.clip, 'must be at least 1')
    super().__post_init__()

  @property
  def causal(self) -> bool:
    return False

  @property
  def breaks(self) -> Mapping[str, str]:
    return {'segments': 'sees all of its segment'}

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,), jnp.int32)

  @nn.compact
  def __call__(
    self,
    carry: jax.Array,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[jax.Array, Sequence_BTD]:
    del train
    after_B, _ = positions_in_block(carry, reset_BT, 0)
    heads = number_of_heads(self.width, self.head_width)
    qkv = Dense(3 * heads * self.head_width, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], 3, heads, self.head_width)
    q_BTHK, k_BTHK, v_BTHK = (qkv[:, :, i] for i in range(3))
    q_BTHK *= self.head_width**-0.5
    score_BHTT = jnp.einsum('bthk,bshk->bhts', q_BTHK, k_BTHK)
    if self.positions == 'shaw':
      score_BHTT += self._of_distances(q_BTHK)
    run_BT = jnp.cumsum(reset_BT.astype(jnp.int32), axis=1)
    same_BTT = run_BT[:, :, None] == run_BT[:, None]
    score_BHTT = jnp.where(
      same_BTT[:, None], score_BHTT.astype(jnp.float32), -jnp.inf
    )
    weight_BHTT = nn.softmax(score_BHTT, axis=-1)
    self.sow('intermediates', 'step_weights', weight_BHTT.swapaxes(1, 2))
    seen = jnp.einsum('bhts,bshk->bthk', weight_BHTT.astype(x.dtype), v_BTHK)
    return after_B, Dense(self.width, name='output')(
      seen.reshape(*x.shape[:2], -1)
    )

  def _of_distances(self, q_BTHK: jax.Array) -> jax.Array:
    """`(B, H, T, T)`, q_t times the vector of the distance of each step."""
    draw = nn.initializers.normal(self.head_width**-0.5)
    shape = 2 * self.clip + 1, self.head_width
    r_RK = self.param('distance', draw, shape).astype(q_BTHK.dtype)
    by_distance_BHTR = jnp.einsum('bthk,rk->bhtr', q_BTHK, r_RK)
    step_T = jnp.arange(q_BTHK.shape[1])
    distance_TT = step_T[None] - step_T[:, None]
    index_TT = jnp.clip(distance_TT, -self.clip, self.clip) + self.clip
    return jnp.take_along_axis(by_distance_BHTR, index_TT[None, None], axis=3)
