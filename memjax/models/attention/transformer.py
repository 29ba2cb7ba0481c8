"""Self-attention over the last tokens, whose keys and values are the carry.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; causal as in
Radford et al. 2019, GPT-2. For each head:

    q_t, k_t, v_t = W x_t + b
    a_ts = softmax_s(q_t · k_s / sqrt(K)),   s = t - window ... t
    y_t  = W_o [sum_s a_ts v_s]_heads + b_o

`SlidingAttention` is these equations. `BlockAttention` is the Transformer of
language models, whose context starts anew every `window` tokens: it is sliding
attention with a reset wherever a block begins. Neither knows the order of what
it sees; `Stack(positions='learned')` adds absolute positions, which start anew
together with the blocks.

Carry: keys and values of the last M tokens, `(B, M, H, K)` float32, and a
count, `(B,)` int32; H is D / K, rounded up. Cost per step: B D D + B M D; a
segment's memory grows with T + M. Parameters: kernels normal of variance 1 / D,
biases 0.
Deviations: no dropout on the attention weights. Norms, residuals and the MLP
are the Stack's.
"""

from typing import ClassVar, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.positions import positions_in_block
from memjax.ops.attention import (
  CHUNK,
  last_run,
  run_ids,
  weights_by_lag,
  windowed_attention,
)
from memjax.types import Reset_BT, Sequence_BTD


class Cache(NamedTuple):
  """The last tokens, the newest in the last slot.

  Attributes:
    k_BMHK: float32 keys.
    v_BMHK: float32 values.
    count_B: int32, the number of filled slots.
  """

  k_BMHK: jax.Array
  v_BMHK: jax.Array
  count_B: jax.Array


class SlidingAttention(Memory):
  """Each token sees itself and the `window` tokens before it.

  Intermediates: `lag_weights`, `(B, T, H, window + 1)`.

  Attributes:
    width: D.
    head_width: K.
    window: M, the number of tokens seen before a token's own, at least 0.
    chunk: the number of queries read at once, at least.
  """

  width: int
  head_width: int
  window: int
  chunk: int = CHUNK
  least_window: ClassVar[int] = 0

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    rule = f'must be at least {self.least_window}'
    require(self.window >= self.least_window, 'window', self.window, rule)
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.window

  def with_horizon(self, horizon: int) -> Memory:
    require(horizon >= 1, 'horizon', horizon, 'must be at least 1')
    return self.clone(window=horizon)

  def initial_carry(self, batch_size: int) -> Cache:
    slots = max(self.horizon, 1)  # a checkpoint cannot hold an empty array
    heads = number_of_heads(self.width, self.head_width)
    shape = (batch_size, slots, heads, self.head_width)
    return Cache(
      jnp.zeros(shape), jnp.zeros(shape), jnp.zeros((batch_size,), jnp.int32)
    )

  @nn.compact
  def __call__(
    self,
    carry: Cache,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cache, Sequence_BTD]:
    del train
    slots, heads, head_width = carry.k_BMHK.shape[1:]
    qkv = Dense(3 * heads * head_width, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], 3, heads, head_width)
    q_BTHK, k_BTHK, v_BTHK = (qkv[:, :, i] for i in range(3))
    k_BSHK = jnp.concatenate([carry.k_BMHK.astype(k_BTHK.dtype), k_BTHK], 1)
    v_BSHK = jnp.concatenate([carry.v_BMHK.astype(v_BTHK.dtype), v_BTHK], 1)
    run_BS = run_ids(carry.count_B, slots, reset_BT)
    q_BTHK *= head_width**-0.5
    y_BTHK = windowed_attention(
      q_BTHK, k_BSHK, v_BSHK, run_BS, self.horizon, chunk=self.chunk
    )
    if wants_intermediates(self):
      weights = weights_by_lag(q_BTHK, k_BSHK, run_BS, self.horizon)
      self.sow('intermediates', 'lag_weights', weights)
    after = Cache(
      k_BSHK[:, -slots:].astype(jnp.float32),
      v_BSHK[:, -slots:].astype(jnp.float32),
      last_run(run_BS, self.horizon),
    )
    y_BTI = y_BTHK.reshape(*x.shape[:2], heads * head_width)
    return after, Dense(self.width, name='output')(y_BTI)


class BlockAttention(SlidingAttention):
  """Each token sees itself and the tokens before it in its block.

  M is window - 1. The carry's count is the place of the next token in its
  block.

  Attributes:
    window: tokens of a block, at least 1.
  """

  least_window = 1

  @property
  def horizon(self) -> int:
    return self.window - 1

  @property
  def block(self) -> int:
    return self.window

  def with_horizon(self, horizon: int) -> Memory:
    return super().with_horizon(horizon).clone(window=horizon + 1)

  def __call__(
    self,
    carry: Cache,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cache, Sequence_BTD]:
    next_B, position_BT = positions_in_block(
      carry.count_B, reset_BT, self.window
    )
    after, y = super().__call__(carry, x, position_BT == 0, train=train)
    return after._replace(count_B=next_B), y


def number_of_heads(width: int, head_width: int) -> int:
  """H, the number of heads of this width that cover the layer's width.

  Their joint width H K is the layer's D, or more where K does not divide D.

  Raises:
    ConfigError: a width is not positive.
  """
  for field, value in (('width', width), ('head_width', head_width)):
    require(value >= 1, field, value, 'must be at least 1')
  return -(-width // head_width)
