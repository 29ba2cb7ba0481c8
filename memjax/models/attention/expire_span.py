"""Expire-Span: each step decides how long it will be remembered.

Paper: Sukhbaatar et al. 2021, https://arxiv.org/abs/2105.06548. With
q_t, k_t, v_t = W x_t + b for each head, and a span e for each step, one of all
heads, with a ramp of R steps:

    e_s  = M sigma(w · x_s + b)
    m_ts = min(max(1 + (e_s - (t - s)) / R, 0), 1)
    a_ts = m_ts exp(c_ts) / sum_u m_tu exp(c_tu),   s = t - M ... t
    c_ts = q_t · (k_s + r_min(t - s, clip)) / sqrt(K)
    y_t  = W_o [sum_s a_ts v_s]_heads + b_o

The loss of each step has penalty times e besides.

Carry: keys and values of the last M steps, `(B, M, H, K)`, their spans,
`(B, M)`, float32, and the number of filled ones, `(B,)` int32.
Cost per step: 4 D H K + 2 (M + T) H K; scores grow with T (M + T).
Parameters: kernels and r normal, of variance 1 / D and 1 / K; w 0, and b such
that e is `span` M at first; other biases 0.
Deviations: the penalty is a gradient, of training alone: `loss` does not show
it. It counts every step as one with a label, so with few labels in a row it
weighs more. No spans are cut at random in training. A step that has expired for
all heads keeps its slot until it is M steps old; the paper gives it to others,
which saves time and space.
"""

import math
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.attention import last_run, run_ids
from memjax.ops.spans import log_mask, penalised
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Expiring(NamedTuple):
  """The last steps, the newest in the last slot.

  Attributes:
    k_BMHK: float32 keys.
    v_BMHK: float32 values.
    span_BM: float32, e.
    count_B: int32, the number of filled slots.
  """

  k_BMHK: jax.Array
  v_BMHK: jax.Array
  span_BM: jax.Array
  count_B: jax.Array


class ExpireSpan(Memory):
  """Each step sees those of the last `window` that have not expired.

  Intermediates: `lag_weights`, `(B, T, H, window + 1)`; `span_gate`, `(B, T)`,
  e / M.

  Attributes:
    width: D.
    head_width: K.
    window: M, at least 1.
    ramp: R, steps over which the mask falls from 1 to 0.
    clip: larger distances count as this one.
    span: e / M before training.
    penalty: gradient of a step's loss by its e, in nats a step.
  """

  width: int
  head_width: int
  window: int
  ramp: int = 32
  clip: int = 16
  span: float = 0.5
  penalty: float = 0.0

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    for field in ('window', 'ramp', 'clip'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    require(0 < self.span < 1, 'span', self.span, 'must be in (0, 1)')
    rule = 'must be at least 0'
    require(self.penalty >= 0, 'penalty', self.penalty, rule)
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.window

  def initial_carry(self, batch_size: int) -> Expiring:
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, self.window, heads, self.head_width
    return Expiring(
      jnp.zeros(shape),
      jnp.zeros(shape),
      jnp.zeros((batch_size, self.window)),
      jnp.zeros((batch_size,), jnp.int32),
    )

  @nn.compact
  def __call__(
    self,
    carry: Expiring,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Expiring, Sequence_BTD]:
    heads = number_of_heads(self.width, self.head_width)
    qkv = Dense(3 * heads * self.head_width, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], 3, heads, self.head_width)
    q_BTHK, k_BTHK, v_BTHK = (qkv[:, :, i] for i in range(3))
    e_BT = self._spans(x)
    if train:
      e_BT = penalised(e_BT, self.penalty)
    k_BSHK, v_BSHK, e_BS = (
      jnp.concatenate([old.astype(new.dtype), new], axis=1)
      for old, new in zip(carry, (k_BTHK, v_BTHK, e_BT), strict=False)
    )
    run_BS = run_ids(carry.count_B, self.window, reset_BT)
    weight_BHTS = self._weights(q_BTHK, k_BSHK, e_BS, run_BS)
    seen = jnp.einsum('bhts,bshk->bthk', weight_BHTS.astype(x.dtype), v_BSHK)
    if wants_intermediates(self):
      self.sow('intermediates', 'lag_weights', self._by_lag(weight_BHTS))
      self.sow('intermediates', 'span_gate', e_BT / self.window)
    k_BMHK, v_BMHK, e_BM = (
      a[:, -self.window :].astype(jnp.float32) for a in (k_BSHK, v_BSHK, e_BS)
    )
    after = Expiring(k_BMHK, v_BMHK, e_BM, last_run(run_BS, self.window))
    flat = seen.reshape(*x.shape[:2], -1)
    return after, Dense(self.width, name='output')(flat)

  def _spans(self, x: Inputs_BTF) -> jax.Array:
    """e, `(B, T)` float32."""
    bias = math.log(self.span / (1 - self.span))
    expire = Dense(
      1,
      kernel_init=nn.initializers.zeros,
      bias_init=nn.initializers.constant(bias),
      name='expire',
    )
    share_BT = nn.sigmoid(expire(x)[..., 0].astype(jnp.float32))
    return self.window * share_BT

  def _weights(
    self,
    q_BTHK: jax.Array,
    k_BSHK: jax.Array,
    e_BS: jax.Array,
    run_BS: jax.Array,
  ) -> jax.Array:
    """a, `(B, H, T, S)` float32."""
    length, slots = q_BTHK.shape[1], self.window
    q_BTHK *= self.head_width**-0.5
    score_BHTS = jnp.einsum('bthk,bshk->bhts', q_BTHK, k_BSHK)
    place_S = jnp.arange(slots + length)
    distance_TS = place_S[slots:, None] - place_S[None]
    draw = nn.initializers.normal(self.head_width**-0.5)
    r_RK = self.param('distance', draw, (self.clip + 1, self.head_width))
    by_distance_BHTR = jnp.einsum('bthk,rk->bhtr', q_BTHK, r_RK)
    index_TS = jnp.clip(distance_TS, 0, self.clip)
    score_BHTS += jnp.take_along_axis(
      by_distance_BHTR, index_TS[None, None], axis=3
    )
    near_TS = (distance_TS >= 0) & (distance_TS <= slots)
    own_BTS = run_BS[:, slots:, None] == run_BS[:, None]
    far_TS = distance_TS.astype(jnp.float32)
    mask_BTS = log_mask(e_BS[:, None], far_TS[None], self.ramp)
    logits = score_BHTS.astype(jnp.float32) + mask_BTS[:, None]
    seen_BTS = near_TS[None] & own_BTS
    return nn.softmax(jnp.where(seen_BTS[:, None], logits, -jnp.inf), axis=-1)

  def _by_lag(self, weight_BHTS: jax.Array) -> jax.Array:
    """The weights by distance, `(B, T, H, window + 1)`."""
    slots = self.window
    place_TR = (
      jnp.arange(slots, weight_BHTS.shape[3])[:, None]
      - jnp.arange(slots + 1)[None]
    )
    by_lag = jnp.take_along_axis(weight_BHTS, place_TR[None, None], axis=3)
    return by_lag.swapaxes(1, 2)
