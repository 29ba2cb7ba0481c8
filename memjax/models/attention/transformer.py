"""Self-attention over the last tokens, whose keys and values are the carry.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; causal as in
Radford et al. 2019, GPT-2. For each head:

    q_t, k_t, v_t = W x_t + b
    a_ts = softmax_s(q_t · k_s / sqrt(K) + e_ts),   s = t - window ... t
    y_t  = W_o [sum_s a_ts v_s]_heads + b_o

`SlidingAttention` is these equations. `BlockAttention` is the Transformer of
language models, whose context starts anew every `window` tokens: it is sliding
attention with a reset wherever a block begins. Without options e_ts is 0, and
neither knows the order of what it sees; `Stack(positions='learned')` adds
absolute positions, which start anew together with the blocks. The options:

    'rotary'   q and k are turned by their places, `ops/rotary.py`
    'shaw'     e_ts = q_t · r_min(t - s, clip) / sqrt(K); Shaw et al. 2018,
               https://arxiv.org/abs/1803.02155
    forget     e_ts = sum of log f_u, s < u <= t,  f_u = sigma(W_f x_u + b_f);
               Lin et al. 2025, https://arxiv.org/abs/2503.02130
    sinks      the sum of the softmax is exp(c) larger; OpenAI 2025,
               https://arxiv.org/abs/2508.10925
    qk_norm    q and k divided by their root mean square, times gains; Henry et
               al. 2020, https://arxiv.org/abs/2010.04245
    gate       [.]_heads * sigma(W_g x_t + b_g) before W_o; Qiu et al. 2025,
               https://arxiv.org/abs/2505.06708
    key_heads  heads share keys and values; Ainslie et al. 2023,
               https://arxiv.org/abs/2305.13245

Carry: keys before they are turned and values of the last M tokens,
`(B, M, G, K)` float32, with `forget` their log f, `(B, M, H)` float32, and a
count, `(B,)` int32; H is D / K, rounded up. Cost per step: B D D + B M D; a
segment's memory grows with T + M. Parameters: kernels normal of variance 1 / D,
r normal of variance 1 / K, gains 1, c and biases 0; with bias=False there is no
b and no b_o, but with output_bias=True there is b_o.
Deviations: no dropout on the attention weights. Shaw et al. also add vectors of
the distance to the values. Places count from the oldest slot: only differences
matter. Norms, residuals and the MLP are the Stack's.
"""

import math
from typing import Any, ClassVar, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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
from memjax.ops.rotary import rotate
from memjax.types import Reset_BT, Sequence_BTD

POSITIONS = ('none', 'rotary', 'shaw')
Arrays = dict[str, jax.Array]


class Cache(NamedTuple):
  """The last tokens, the newest in the last slot.

  Attributes:
    k_BMGK: float32 keys.
    v_BMGK: float32 values.
    count_B: int32, the number of filled slots.
  """

  k_BMGK: jax.Array
  v_BMGK: jax.Array
  count_B: jax.Array


class FadingCache(NamedTuple):
  """The last tokens of heads that forget: a `Cache`, and what they forget.

  Attributes:
    k_BMGK: as in `Cache`.
    v_BMGK: as in `Cache`.
    count_B: as in `Cache`.
    log_f_BMH: float32 logarithms of the forget gates.
  """

  k_BMGK: jax.Array
  v_BMGK: jax.Array
  count_B: jax.Array
  log_f_BMH: jax.Array


class SlidingAttention(Memory):
  """Each token sees itself and the `window` tokens before it.

  Intermediates: `lag_weights`, `(B, T, H, window + 1)`; `forget_gate`,
  `(B, T, H)`, with `forget`; `output_gate`, `(B, T, H K)`, with `gate`.

  Attributes:
    width: D.
    head_width: K.
    window: M, the number of tokens seen before a token's own, at least 0.
    key_heads: G, the heads of keys and values; 0 for H. It divides H.
    positions: 'none', 'rotary' or 'shaw'.
    rotary_share: share of a head's channels that are turned, in pairs.
    rotary_base: the slowest turn takes at most 2 pi times as many steps.
    clip: larger distances count as this one, of 'shaw'.
    bias: whether b and b_o exist.
    output_bias: whether b_o exists where b does not.
    qk_norm: whether queries and keys are normed.
    forget: whether heads forget.
    sinks: whether heads may see nothing.
    gate: whether what heads see is gated.
    chunk: the number of queries read at once, at least.
  """

  width: int
  head_width: int
  window: int
  key_heads: int = 0
  positions: str = 'none'
  rotary_share: float = 1.0
  rotary_base: float = 10_000.0
  clip: int = 16
  bias: bool = True
  output_bias: bool = False
  qk_norm: bool = False
  forget: bool = False
  sinks: bool = False
  gate: bool = False
  chunk: int = CHUNK
  least_window: ClassVar[int] = 0

  def __post_init__(self) -> None:
    heads = number_of_heads(self.width, self.head_width)
    least = self.least_window
    for field, low in (('window', least), ('chunk', 1), ('clip', 1)):
      value = getattr(self, field)
      require(value >= low, field, value, f'must be at least {low}')
    divides = self.key_heads >= 0 and heads % (self.key_heads or heads) == 0
    rule = f'must be 0 or divide the number of heads, {heads}'
    require(divides, 'key_heads', self.key_heads, rule)
    rule = f'must be one of {", ".join(POSITIONS)}'
    require(self.positions in POSITIONS, 'positions', self.positions, rule)
    share, base = self.rotary_share, self.rotary_base
    require(0 < share <= 1, 'rotary_share', share, 'must be in (0, 1]')
    turns = self.positions != 'rotary' or self.head_width > 1
    rule = 'must be at least 2 to be turned'
    require(turns, 'head_width', self.head_width, rule)
    require(base > 1, 'rotary_base', base, 'must be above 1')
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.window

  def with_horizon(self, horizon: int) -> Memory:
    require(horizon >= 1, 'horizon', horizon, 'must be at least 1')
    return self.clone(window=horizon)

  def initial_carry(self, batch_size: int) -> Cache | FadingCache:
    slots = max(self.horizon, 1)  # a checkpoint cannot hold an empty array
    heads = number_of_heads(self.width, self.head_width)
    shape = (batch_size, slots, self.key_heads or heads, self.head_width)
    count_B = jnp.zeros((batch_size,), jnp.int32)
    cache = Cache(jnp.zeros(shape), jnp.zeros(shape), count_B)
    if not self.forget:
      return cache
    return FadingCache(*cache, jnp.zeros((batch_size, slots, heads)))

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
    slots = carry.k_BMGK.shape[1]
    q_BTHK, now = self._project(x)
    known = {
      name: jnp.concatenate([getattr(carry, name).astype(new.dtype), new], 1)
      for name, new in now.items()
    }
    run_BS = run_ids(carry.count_B, slots, reset_BT)
    q_BTHK, k_BSGK, scores = self._scores(q_BTHK, known)
    y_BTHK = windowed_attention(
      *(q_BTHK, k_BSGK, known['v_BMGK'], run_BS, self.horizon),
      **scores,
      chunk=self.chunk,
    )
    if wants_intermediates(self):
      weights = weights_by_lag(q_BTHK, k_BSGK, run_BS, self.horizon, **scores)
      self.sow('intermediates', 'lag_weights', weights)
    newest = {n: a[:, -slots:].astype(jnp.float32) for n, a in known.items()}
    count_B = last_run(run_BS, self.horizon)
    after = carry._replace(count_B=count_B, **newest)
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1)
    if self.gate:
      gate_BTI = nn.sigmoid(Dense(y_BTI.shape[2], name='gate')(x))
      self.sow('intermediates', 'output_gate', gate_BTI)
      y_BTI *= gate_BTI
    bias = self.bias or self.output_bias
    return after, Dense(self.width, bias, name='output')(y_BTI)

  def _project(self, x: Sequence_BTD) -> tuple[jax.Array, Arrays]:
    """Queries of T steps, and what the cache will hold of them, by name."""
    heads = number_of_heads(self.width, self.head_width)
    shared = self.key_heads or heads
    joint = (heads + 2 * shared) * self.head_width
    qkv = Dense(joint, self.bias, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], -1, self.head_width)
    q, k, v = jnp.split(qkv, [heads, heads + shared], axis=2)
    if self.qk_norm:
      q, k = nn.RMSNorm(name='query_norm')(q), nn.RMSNorm(name='key_norm')(k)
    now = {'k_BMGK': k, 'v_BMGK': v}
    if self.forget:
      a_BTH = Dense(heads, name='forget')(x).astype(jnp.float32)
      self.sow('intermediates', 'forget_gate', nn.sigmoid(a_BTH))
      now['log_f_BMH'] = nn.log_sigmoid(a_BTH)
    return q, now

  def _scores(
    self, q: jax.Array, known: Arrays
  ) -> tuple[jax.Array, jax.Array, dict[str, Any]]:
    """Queries and keys that are ready to meet, and their further scores."""
    k, scores = known['k_BMGK'], dict[str, Any]()
    if self.positions == 'rotary':
      first = k.shape[1] - q.shape[1]
      q = rotate(q, first, self._turned, self.rotary_base)
      k = rotate(k, 0, self._turned, self.rotary_base)
    q *= self.head_width**-0.5
    if self.positions == 'shaw':
      draw = nn.initializers.normal(self.head_width**-0.5)
      table = self.param('distance', draw, (self.clip + 1, self.head_width))
      distance_R = np.minimum(np.arange(self.horizon + 1), self.clip)
      scores['relative'] = q, table[distance_R][:, None]
    if self.forget:
      scores['log_decay_BSH'] = known['log_f_BMH']
    if self.sinks:
      zeros = nn.initializers.zeros_init()
      scores['sinks_H'] = self.param('sink', zeros, (q.shape[2],))
    return q, k, scores

  @property
  def _turned(self) -> int:
    """The number of channels of a head that are turned, in pairs."""
    pairs = math.ceil(self.rotary_share * self.head_width / 2)
    return 2 * min(pairs, self.head_width // 2)


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
    carry: Cache | FadingCache,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Cache | FadingCache, Sequence_BTD]:
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
