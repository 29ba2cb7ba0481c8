"""A trained model that also repeats what followed similar states before.

Paper: Grave et al. 2017, https://arxiv.org/abs/1612.04426, continuous cache.
With h_t the last hidden state and p_t the model's distribution of the next
token:

    c_t(w) = sum over i of softmax_i(theta h_t · h_i) [x_(i+1) = w],
             i = t - M ... t - 1
    y_t(w) = log((1 - lambda m_t) p_t(w) + lambda c_t(w)),   m_t = sum_w c_t(w)

m_t is 1, and 0 before there are two tokens. The cache has no parameters. Those
of a trained `stack.Stack` serve; theta, lambda and M are chosen on validation
text.

Carry: the Stack's; the last M pairs of a state and the token after it,
`(B, M, D)` float32 and `(B, M)` int32; their number; the last state, and if
there is one. Cost per step: the Stack's, B M (D + V), and V more numbers in
what the body returns, `[h_t, c_t]`.
Deviations: gradients do not reach the cache, the paper does not train with one.
The outputs are normalised logarithms, not scores.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.stack import Stack
from memjax.ops.attention import last_run, run_ids, windowed_attention
from memjax.types import Carry, Inputs, Reset_BT, Sequence_BTD

LEAST = 1e-30  # of a probability


class Pairs(NamedTuple):
  """The last states and what followed them, the newest in the last slot.

  Attributes:
    h_BMD: float32 states.
    token_BM: int32, the token after each.
    count_B: int32, the number of filled slots.
    last_BD: float32, the last state, which waits for its token.
    begun_B: int32, 1 if there is a last state.
  """

  h_BMD: jax.Array
  token_BM: jax.Array
  count_B: jax.Array
  last_BD: jax.Array
  begun_B: jax.Array


class CachedStack(Stack):
  """A Stack with a cache of its last states; needs tokens in and out.

  Attributes:
    slots: M, the number of pairs that are kept, at least 1.
    cache_share: lambda, in [0, 1).
    sharpness: theta, above 0; states after a norm have a length of sqrt(D).
  """

  slots: int = 100
  cache_share: float = 0.1
  sharpness: float = 0.1

  def __post_init__(self) -> None:
    super().__post_init__()
    require(self.slots >= 1, 'slots', self.slots, 'must be at least 1')
    share = self.cache_share
    require(0 <= share < 1, 'cache_share', share, 'must be in [0, 1)')
    theta = self.sharpness
    require(theta > 0, 'sharpness', theta, 'must be above 0')
    rule = 'must not start anew after a block of steps: the cache does not'
    require(not self.block, 'layer', type(self.layer).__name__, rule)
    tokens = self.input_spec.zeros(1, 1).ndim == 2
    rule = 'must be tokens: a cache holds the tokens that were read'
    require(tokens, 'input_spec', self.input_spec, rule)

  @property
  def horizon(self) -> int:
    inner = super().horizon
    return inner + self.slots if inner else 0

  def with_horizon(self, horizon: int) -> Memory:
    rule = f'must be above the slots of the cache, {self.slots}'
    require(horizon > self.slots, 'horizon', horizon, rule)
    return super().with_horizon(horizon - self.slots)

  @property
  def label_size(self) -> int:
    return 0  # what the cache says is a part of the outputs alone

  def initial_carry(self, batch_size: int) -> Carry:
    slots = self.slots
    pairs = Pairs(
      jnp.zeros((batch_size, slots, self.width)),
      jnp.zeros((batch_size, slots), jnp.int32),
      jnp.zeros((batch_size,), jnp.int32),
      jnp.zeros((batch_size, self.width)),
      jnp.zeros((batch_size,), jnp.int32),
    )
    return super().initial_carry(batch_size), pairs

  def body(
    self,
    carry: Carry,
    inputs: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    inner, pairs = carry
    inner, h_BTD = super().body(inner, inputs, reset_BT, train=train)
    states = jax.lax.stop_gradient(h_BTD).astype(jnp.float32)
    pairs, c_BTV = self._look_up(pairs, inputs, states, reset_BT)
    found = c_BTV.astype(h_BTD.dtype)
    return (inner, pairs), jnp.concatenate([h_BTD, found], -1)

  def readout(self, h: jax.Array) -> jax.Array:
    h, c = jnp.split(h, [self.width], axis=-1)
    p = jax.nn.softmax(super().readout(h).astype(jnp.float32))
    c = c.astype(jnp.float32)
    kept = 1 - self.cache_share * c.sum(-1, keepdims=True)
    return jnp.log(jnp.maximum(kept * p + self.cache_share * c, LEAST))

  def _look_up(
    self,
    pairs: Pairs,
    ids_BT: jax.Array,
    h_BTD: jax.Array,
    reset_BT: Reset_BT,
  ) -> tuple[Pairs, jax.Array]:
    """The pairs after a segment, and c.

    Step t completes the pair of h_(t-1) and x_t, and sees it. The first step of
    a run completes none: it is a run of its own, in which nothing is found.
    """
    before_BTD = jnp.concatenate([pairs.last_BD[:, None], h_BTD[:, :-1]], 1)
    alone_B1 = (pairs.begun_B == 0)[:, None]
    first_BT = reset_BT | jnp.pad(alone_B1, ((0, 0), (0, ids_BT.shape[1] - 1)))
    second_BT = jnp.pad(first_BT[:, :-1], ((0, 0), (1, 0)))
    run_BS = run_ids(pairs.count_B, self.slots, first_BT | second_BT)
    h_BSD = jnp.concatenate([pairs.h_BMD, before_BTD], 1)
    token_BS = jnp.concatenate([pairs.token_BM, ids_BT.astype(jnp.int32)], 1)
    each_BSV = jax.nn.one_hot(token_BS, self.output_spec.size)
    c_BTV = windowed_attention(
      (self.sharpness * h_BTD)[:, :, None],
      h_BSD[:, :, None],
      each_BSV[:, :, None],
      run_BS,
      self.slots - 1,
    )[:, :, 0]
    ends_alone_B = first_BT[:, -1]
    count_B = jnp.where(ends_alone_B, 0, last_run(run_BS, self.slots))
    after = Pairs(
      h_BSD[:, -self.slots :],
      token_BS[:, -self.slots :],
      count_B.astype(jnp.int32),
      h_BTD[:, -1],
      jnp.ones_like(pairs.begun_B),
    )
    return after, jnp.where(first_BT[..., None], 0.0, c_BTV)
