"""Hierarchical attention over words, then over the sentences so far.

    h_t = GRU(s_1 ... s_t)                     s_t the vector of sentence t
    e_i = u · tanh(h_i W + b)
    y_t = sum_i softmax_i(e_i) h_i             i = 1 ... t, since the reset

Paper: Yang et al. 2016, https://aclanthology.org/N16-1174. Its word level,
which computes s_t, is `Stack(sentences='attention')`; its classifier is the
Stack's readout.

The softmax over a prefix is exact and needs no past h. With the largest score
so far, m_t, and the sums l_t = sum_i exp(e_i - m_t) and
v_t = sum_i exp(e_i - m_t) h_i, it is y_t = v_t / l_t. Two stretches of time are
joined at the larger m: an associative scan.

Carry: h and v, `(B, D)` float32 each; m and l, `(B,)` float32.
Cost per step: 7 B D D + 7 B D for inputs of width D; after the GRU's T steps
come 2 log T rounds of the scan.
Deviations: the GRU over sentences reads forwards only, and the paper's reads
both ways; every step has an output about the sentences so far, and the paper
has one for the document; the GRU is `gru.GRU`, whose candidate has one more
bias.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.recurrent.cell import nothing
from memjax.models.recurrent.gru import GRU
from memjax.models.sentences import Scores
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

NO_SCORE = float(jnp.finfo(jnp.float32).min)  # finite: -inf - -inf is NaN


class HANState(NamedTuple):
  """What a causal HAN remembers.

  Attributes:
    h_BD: the state of the GRU.
    top_B: m, the largest score since the reset.
    total_B: l, the sum of the exponentials of the scores, relative to m.
    sum_BD: v, the sum of the states with the same weights.
  """

  h_BD: jax.Array
  top_B: jax.Array
  total_B: jax.Array
  sum_BD: jax.Array


class CausalHAN(Memory):
  """A GRU over sentences and attention to all of its states so far.

  Intermediates: `lag_weights`, `(B, T, 1, T)`, of the states of this call. The
  rest of the weight, up to 1, lies on earlier states, which are kept as sums.

  Attributes:
    width: D.
  """

  width: int

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> HANState:
    return HANState(
      h_BD=nothing(batch_size, self.width),
      top_B=jnp.full((batch_size,), NO_SCORE, jnp.float32),
      total_B=jnp.zeros((batch_size,), jnp.float32),
      sum_BD=nothing(batch_size, self.width),
    )

  @nn.compact
  def __call__(
    self,
    carry: HANState,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[HANState, Sequence_BTD]:
    del train
    h_BD, h_BTD = GRU(self.width, name='gru')(carry.h_BD, x, reset_BT)
    before = Stretch(
      carry.top_B[:, None],
      carry.total_B[:, None],
      carry.sum_BD[:, None],
      jnp.zeros_like(reset_BT[:, :1]),
    )
    score_BT = Scores(name='scores')(h_BTD)
    one_step = Stretch.of(score_BT, h_BTD, reset_BT)
    within = lax.associative_scan(join, one_step, axis=1)
    top_BT, total_BT, sum_BTD, _ = join(before, within)
    if wants_intermediates(self):
      share_BTR = lagged(score_BT, reset_BT, top_BT)
      weights_BTR = share_BTR / total_BT[..., None]
      self.sow('intermediates', 'lag_weights', weights_BTR[:, :, None])
    after = HANState(h_BD, top_BT[:, -1], total_BT[:, -1], sum_BTD[:, -1])
    return after, (sum_BTD / total_BT[..., None]).astype(h_BTD.dtype)


class Stretch(NamedTuple):
  """A stretch of time as a softmax sees it; one that ends at each t.

  Attributes:
    top_BT: m, the largest score.
    total_BT: l, the sum of the exponentials of the scores, relative to m.
    sum_BTD: v, the sum of the states with the same weights.
    reset_BT: whether what lies before it is forgotten.
  """

  top_BT: jax.Array
  total_BT: jax.Array
  sum_BTD: jax.Array
  reset_BT: jax.Array

  @classmethod
  def of(
    cls, score_BT: jax.Array, h_BTD: jax.Array, reset_BT: jax.Array
  ) -> 'Stretch':
    """Single steps. No result depends on m, so its gradient is left out."""
    top_BT = lax.stop_gradient(score_BT)
    total_BT = jnp.exp(score_BT - top_BT)
    sum_BTD = total_BT[..., None] * h_BTD.astype(jnp.float32)
    return cls(top_BT, total_BT, sum_BTD, reset_BT)


def lagged(
  score_BT: jax.Array, reset_BT: jax.Array, top_BT: jax.Array
) -> jax.Array:
  """`(B, T, R)`, exp(e_i - m_t) of the step i that lies r steps before t."""
  steps_T = jnp.arange(score_BT.shape[1])
  back_TR = steps_T[:, None] - steps_T[None]
  run_BT = jnp.cumsum(reset_BT, axis=1)
  own_BTR = (back_TR >= 0)[None] & (run_BT[:, back_TR] == run_BT[:, :, None])
  share_BTR = jnp.exp(score_BT[:, back_TR] - top_BT[:, :, None])
  return jnp.where(own_BTR, share_BTR, 0)


def join(before: Stretch, after: Stretch) -> Stretch:
  """Two stretches as one; associative."""
  top_before = jnp.where(after.reset_BT, NO_SCORE, before.top_BT)
  top_BT = jnp.maximum(top_before, after.top_BT)
  keep_BT = jnp.exp(top_before - top_BT)
  add_BT = jnp.exp(after.top_BT - top_BT)
  return Stretch(
    top_BT,
    keep_BT * before.total_BT + add_BT * after.total_BT,
    keep_BT[..., None] * before.sum_BTD + add_BT[..., None] * after.sum_BTD,
    before.reset_BT | after.reset_BT,
  )
