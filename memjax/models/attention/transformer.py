"""Self-attention over the last tokens, whose keys and values are the carry.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; causal as in
Radford et al. 2019, GPT-2. For each head:

    q_t, k_t, v_t = W x_t + b
    a_ts = softmax_s(q_t · k_s / sqrt(K)),   s = t - window ... t
    y_t  = W_o [sum_s a_ts v_s]_heads + b_o

`SlidingAttention` is just that. `BlockAttention` is the Transformer of
language models, whose context starts anew every `context` tokens: a window of
context - 1 with a reset wherever a context begins. Neither knows the order of
what it sees; `Stack(positions=context)` adds learned absolute positions that
start anew together with the context.

Carry: keys and values of the last M tokens, `(B, M, H, K)` float32, and a
count, `(B,)` int32. Cost per step: B D D + B M D; a segment's memory grows with
T M. Parameters: kernels normal of variance 1 / D, biases 0.
Deviations: no dropout on the attention weights. Norms, residuals and the MLP
are the Stack's.
"""

from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, shows
from memjax.models.positions import positions_in_context
from memjax.ops.attention import (
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
    count_B: int32, how many slots are filled.
  """

  k_BMHK: jax.Array
  v_BMHK: jax.Array
  count_B: jax.Array


class SlidingAttention(Memory):
  """Each token sees itself and the `window` tokens before it.

  When asked it shows its `lag_weights`, `(B, T, H, window + 1)`.

  Attributes:
    width: D.
    heads: H, a divisor of D.
    window: M, at least 0.
  """

  width: int
  heads: int
  window: int

  def __post_init__(self) -> None:
    check_heads(self.width, self.heads)
    require(self.window >= 0, 'window', self.window, 'must be at least 0')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Cache:
    slots = max(self.window, 1)  # a checkpoint cannot hold an empty array
    shape = (batch_size, slots, self.heads, self.width // self.heads)
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
    qkv = nn.Dense(3 * self.width, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], 3, heads, head_width)
    q_BTHK, k_BTHK, v_BTHK = (qkv[:, :, i] for i in range(3))
    k_BSHK = jnp.concatenate([carry.k_BMHK.astype(k_BTHK.dtype), k_BTHK], 1)
    v_BSHK = jnp.concatenate([carry.v_BMHK.astype(v_BTHK.dtype), v_BTHK], 1)
    run_BS = run_ids(carry.count_B, slots, reset_BT)
    q_BTHK *= head_width**-0.5
    y_BTHK = windowed_attention(q_BTHK, k_BSHK, v_BSHK, run_BS, self.window)
    if shows(self):
      weights = weights_by_lag(q_BTHK, k_BSHK, run_BS, self.window)
      self.sow('intermediates', 'lag_weights', weights)
    after = Cache(
      k_BSHK[:, -slots:].astype(jnp.float32),
      v_BSHK[:, -slots:].astype(jnp.float32),
      last_run(run_BS, self.window),
    )
    y_BTD = y_BTHK.reshape(*x.shape[:2], self.width)
    return after, nn.Dense(self.width, name='output')(y_BTD)


class BlockAttention(Memory):
  """Each token sees itself and what its context holds before it.

  The carry's count is the place of the next token in its context.

  Attributes:
    width: D.
    heads: H, a divisor of D.
    context: tokens of a context, at least 1; M is context - 1.
  """

  width: int
  heads: int
  context: int

  def __post_init__(self) -> None:
    check_heads(self.width, self.heads)
    require(self.context >= 1, 'context', self.context, 'must be at least 1')
    super().__post_init__()

  def _window(self, **linen: Any) -> SlidingAttention:
    return SlidingAttention(self.width, self.heads, self.context - 1, **linen)

  def initial_carry(self, batch_size: int) -> Cache:
    return self._window(parent=None).initial_carry(batch_size)

  @nn.compact
  def __call__(
    self,
    carry: Cache,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cache, Sequence_BTD]:
    next_B, position_BT = positions_in_context(
      carry.count_B, reset_BT, self.context
    )
    begins_BT = position_BT == 0
    after, y = self._window(name='window')(carry, x, begins_BT, train=train)
    return after._replace(count_B=next_B), y


def check_heads(width: int, heads: int) -> None:
  """Raises ConfigError unless `heads` cut the width into equal parts."""
  fits = heads >= 1 and width % heads == 0
  require(fits, 'heads', heads, f'must divide width {width}')
