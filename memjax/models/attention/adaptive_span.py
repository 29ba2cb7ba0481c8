"""Adaptive span: each head learns how far back it looks.

Paper: Sukhbaatar et al. 2019, https://arxiv.org/abs/1905.07799. Attention as in
transformer.py, with a span z for each head, from 0 to M, and a ramp of R steps:

    m_ts = min(max(1 + (z - (t - s)) / R, 0), 1)
    a_ts = m_ts exp(e_ts) / sum_u m_tu exp(e_tu),   s = t - M ... t

The loss of each step has penalty / H times the sum of all z besides.

Carry: that of `SlidingAttention`. Cost per step: that of `SlidingAttention`,
whatever the spans are. Parameters: z / M, `(H,)`, at first `span`; within
[0, 1] as if it were clamped after each step.
Deviations: the penalty is a gradient, of training alone: `loss` does not show
it. It counts every step as one with a label, so with few labels in a row it
weighs more. The paper's spans can also depend on the input. It computes only
what the longest span sees, which saves time; here shapes do not change.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import Arrays, SlidingAttention
from memjax.models.base import Memory
from memjax.ops.spans import clamped, log_mask, penalised


class AdaptiveSpan(SlidingAttention):
  """Each head sees the steps within its span, at most `window`.

  Intermediates: those of `SlidingAttention`, and `span_gate`, `(B, T, H)`, the
  share of the window that each head's span covers.

  Attributes:
    ramp: R, steps over which the mask falls from 1 to 0.
    span: z / M of all heads before training.
    penalty: gradient of a step's loss by the mean of all z, in nats a step.
  """

  ramp: int = 32
  span: float = 0.0
  penalty: float = 0.0

  def __post_init__(self) -> None:
    require(self.ramp >= 1, 'ramp', self.ramp, 'must be at least 1')
    require(0 <= self.span <= 1, 'span', self.span, 'must be in [0, 1]')
    rule = 'must be at least 0'
    require(self.penalty >= 0, 'penalty', self.penalty, rule)
    super().__post_init__()

  def with_horizon(self, horizon: int) -> Memory:
    """Refuses: the spans are shares of the window."""
    return Memory.with_horizon(self, horizon)

  def _scores(
    self, q: jax.Array, known: Arrays
  ) -> tuple[jax.Array, jax.Array, dict[str, Any]]:
    """As in `SlidingAttention`, with log m among the scores by distance."""
    q, k, scores = super()._scores(q, known)
    heads = q.shape[2]
    share_H = self.param('span', nn.initializers.constant(self.span), (heads,))
    share_H = clamped(share_H.astype(jnp.float32))
    self.sow(
      *('intermediates', 'span_gate'),
      jnp.broadcast_to(share_H, q.shape[:3]),
    )
    z_H = self.window * share_H
    if self.has_rng('dropout'):  # in training alone
      steps = q.shape[0] * q.shape[1]
      z_H = penalised(z_H, self.penalty / heads * steps)
    distance_R1 = jnp.arange(self.horizon + 1, dtype=jnp.float32)[:, None]
    r_RHP = log_mask(z_H[None], distance_R1, self.ramp)[..., None]
    p_BTHP = jnp.ones((*q.shape[:3], 1), q.dtype)
    if 'relative' in scores:
      p, r = scores['relative']
      r = jnp.broadcast_to(r, (len(r), heads, r.shape[2]))
      p_BTHP = jnp.concatenate([p, p_BTHP], axis=3)
      r_RHP = jnp.concatenate([r, r_RHP.astype(r.dtype)], axis=2)
    scores['relative'] = p_BTHP, r_RHP.astype(q.dtype)
    return q, k, scores
