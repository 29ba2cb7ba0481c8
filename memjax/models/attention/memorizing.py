"""Attention to a window, and to the nearest of many steps before it.

Paper: Wu et al. 2022, https://arxiv.org/abs/2203.08913, Memorizing
Transformers. With q, k and v of `transformer.py`, for each head:

    near_t = sum over s = t - window ... t of softmax(q_t · k_s / sqrt(K)) v_s
    N_t    = the C steps with the largest q_t · k_s,
             s = t - window - M ... t - window - 1
    far_t  = sum over s in N_t of softmax_N(q_t · k_s / sqrt(K)) v_s
    y_t    = W_o [g far_t + (1 - g) near_t]_heads + b_o,    g = sigma(b)

No gradient reaches k_s and v_s of the far steps: they are as they were written.
So M may be large in training as well.

Carry: that of `SlidingAttention` with window + M slots. Cost per step: that of
`SlidingAttention`, and B M D for the products with far keys. Parameters: as in
`transformer.py`, and a number b a head, 0 at first.
Deviations: what is far is counted from each step, not from the segment that it
is in, so that segments of any length agree; the authors stop gradients at
segments only. The search is exact. Far keys are not turned by their places.
The authors norm queries and keys (`qk_norm`), have `window` 512 and one such
layer in a deep model (`pattern` of the Stack).
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import (
  Cache,
  FadingCache,
  SlidingAttention,
  number_of_heads,
)
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.ops.attention import (
  last_run,
  run_ids,
  weights_by_lag,
  windowed_attention,
)
from memjax.ops.nearest import nearest_attention
from memjax.types import Reset_BT, Sequence_BTD


class MemorizingAttention(SlidingAttention):
  """Each token sees `window` tokens, and the nearest of `slots` before them.

  Intermediates: those of `SlidingAttention`; `lag_weights` are
  `(B, T, H, window + slots + 1)`, both parts weighted by the gate; `far_gate`,
  `(B, T, H)`, is g.

  Attributes:
    slots: M, the number of far tokens, at least 1.
    neighbours: C, how many of them a head reads, from 1 to M.
  """

  slots: int = 1024
  neighbours: int = 32

  def __post_init__(self) -> None:
    require(self.slots >= 1, 'slots', self.slots, 'must be at least 1')
    fits = 1 <= self.neighbours <= self.slots
    rule = f'must be from 1 to slots, {self.slots}'
    require(fits, 'neighbours', self.neighbours, rule)
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.window + self.slots

  def with_horizon(self, horizon: int) -> Memory:
    least = self.window + self.neighbours
    rule = f'must be at least window + neighbours, {least}'
    require(horizon >= least, 'horizon', horizon, rule)
    return self.clone(slots=horizon - self.window)

  @nn.compact
  def __call__(
    self,
    carry: Cache | FadingCache,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cache | FadingCache, Sequence_BTD]:
    del train
    held = carry.k_BMGK.shape[1]
    q_BTHK, now = self._project(x)
    known = {
      name: jnp.concatenate([getattr(carry, name).astype(new.dtype), new], 1)
      for name, new in now.items()
    }
    run_BS = run_ids(carry.count_B, held, reset_BT)
    window = {name: array[:, self.slots :] for name, array in known.items()}
    run_BW = run_BS[:, self.slots :]
    near_q, near_k, scores = self._scores(q_BTHK, window)
    near_BTHK = windowed_attention(
      *(near_q, near_k, window['v_BMGK'], run_BW, self.window),
      **scores,
      chunk=self.chunk,
    )
    far_BTHK, weights, distance = nearest_attention(
      q_BTHK * self.head_width**-0.5,
      *(known['k_BMGK'], known['v_BMGK'], run_BS),
      *(self.window, self.slots, self.neighbours, self.chunk),
    )
    g_H = nn.sigmoid(self._gate(x.dtype))
    if wants_intermediates(self):
      lags = weights_by_lag(near_q, near_k, run_BW, self.window, **scores)
      self._show(g_H, lags, weights, distance)
    g = g_H[None, None, :, None]
    y_BTHK = g * far_BTHK + (1 - g) * near_BTHK
    newest = {n: a[:, -held:].astype(jnp.float32) for n, a in known.items()}
    after = carry._replace(count_B=last_run(run_BS, self.horizon), **newest)
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1)
    if self.gate:
      gate_BTI = nn.sigmoid(Dense(y_BTI.shape[2], name='gate')(x))
      self.sow('intermediates', 'output_gate', gate_BTI)
      y_BTI *= gate_BTI
    return after, Dense(self.width, name='output')(y_BTI)

  def _gate(self, dtype: jnp.dtype) -> jax.Array:
    """b, of each head."""
    heads = number_of_heads(self.width, self.head_width)
    b_H = self.param('far', nn.initializers.zeros_init(), (heads,))
    return b_H.astype(dtype)

  def _show(
    self,
    g_H: jax.Array,
    near_BTHR: jax.Array,
    far_BTHC: jax.Array,
    distance_BTHC: jax.Array,
  ) -> None:
    """Sows the weights of all steps by distance, and the gate."""
    g = g_H.astype(jnp.float32)[None, None, :, None]
    gap = [(0, 0)] * 3 + [(0, self.slots)]
    lags_BTHR = jnp.pad((1 - g) * near_BTHR, gap)
    add = jax.vmap(lambda lags, at, weights: lags.at[at].add(weights))
    for _ in range(lags_BTHR.ndim - 2):
      add = jax.vmap(add)
    lags_BTHR = add(lags_BTHR, distance_BTHC, g * far_BTHC)
    self.sow('intermediates', 'lag_weights', lags_BTHR)
    shape = near_BTHR.shape[:3]
    gate_BTH = jnp.broadcast_to(g[..., 0], shape)
    self.sow('intermediates', 'far_gate', gate_BTH)
