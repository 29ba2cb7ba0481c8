"""Modern Hopfield network: a state moves to one of the last patterns.

With X the stored patterns, the newest of which is the step's own, for each
head:

    x_t = W_k lnorm(i_t) + b_k,   xi = W_q lnorm(i_t) + b_q       i the input
    xi  <- X softmax(beta X' xi)                                  n times
    y_t = W_v [xi]_heads + b_v

One update is attention whose values are its keys. With a larger beta, or with
patterns further apart, a state comes nearer to a single pattern.

Paper: Ramsauer et al. 2021, https://arxiv.org/abs/2008.02217, equations 3 and
10 with Y = R = (i_(t-M), ..., i_t). As in its code, the inputs of W_k and W_q
pass through a layer norm each; 1 / sqrt(K) is the usual beta.
Carry: the last M patterns, `(B, M, H, K)` float32, and the number of filled
ones, `(B,)` int32.
Cost per step: 3 B D D + 2 n B M D; a segment's memory grows with n T M.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: the number of updates is a setting, and the code stops a head at a
fixed point; values are the retrieved patterns, as in equation 10, and the code
reads them from the inputs by default; no dropout on the associations.
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
from memjax.ops.attention import (
  CHUNK,
  last_run,
  run_ids,
  weights_by_lag,
  windowed_attention,
)
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Patterns(NamedTuple):
  """The last patterns, the newest in the last slot.

  Attributes:
    x_BMHK: float32 patterns.
    count_B: int32, the number of filled slots.
  """

  x_BMHK: jax.Array
  count_B: jax.Array


class HopfieldMemory(Memory):
  """Each step retrieves from its own pattern and the `slots` before it.

  Intermediates: `update_0_lag_weights`, `(B, T, H, slots + 1)`, of update 0,
  and so on.

  Attributes:
    width: D.
    head_width: K.
    slots: M, at least 0.
    updates: n, of the state, at least 1.
    beta: the inverse temperature, at least 0; 0 for 1 / sqrt(K).
    chunk: the number of queries read at once, at least.
  """

  width: int
  head_width: int
  slots: int
  updates: int = 1
  beta: float = 0.0
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    require(self.slots >= 0, 'slots', self.slots, 'must be at least 0')
    require(self.updates >= 1, 'updates', self.updates, 'must be at least 1')
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    fits = math.isfinite(self.beta) and self.beta >= 0
    require(fits, 'beta', self.beta, 'must be finite and at least 0')
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.slots

  def with_horizon(self, horizon: int) -> Memory:
    require(horizon >= 1, 'horizon', horizon, 'must be at least 1')
    return self.clone(slots=horizon)

  def initial_carry(self, batch_size: int) -> Patterns:
    slots = max(self.slots, 1)  # a checkpoint cannot hold an empty array
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, slots, heads, self.head_width
    return Patterns(jnp.zeros(shape), jnp.zeros((batch_size,), jnp.int32))

  @nn.compact
  def __call__(
    self,
    carry: Patterns,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Patterns, Sequence_BTD]:
    del train
    slots, heads, head_width = carry.x_BMHK.shape[1:]
    beta = self.beta or head_width**-0.5

    def pattern(name: str) -> jax.Array:
      normed = nn.LayerNorm(name=f'{name}_norm')(x)
      pattern_BTI = Dense(heads * head_width, name=name)(normed)
      return pattern_BTI.reshape(*x.shape[:2], heads, head_width)

    xi_BTHK, x_BTHK = pattern('state'), pattern('stored')
    x_BSHK = jnp.concatenate([carry.x_BMHK.astype(x_BTHK.dtype), x_BTHK], 1)
    run_BS = run_ids(carry.count_B, slots, reset_BT)
    for i in range(self.updates):
      q_BTHK = xi_BTHK * beta
      xi_BTHK = windowed_attention(
        q_BTHK, x_BSHK, x_BSHK, run_BS, self.slots, chunk=self.chunk
      )
      if wants_intermediates(self):
        weights = weights_by_lag(q_BTHK, x_BSHK, run_BS, self.slots)
        self.sow('intermediates', f'update_{i}_lag_weights', weights)
    after = Patterns(
      x_BSHK[:, -slots:].astype(jnp.float32), last_run(run_BS, self.slots)
    )
    xi_BTI = xi_BTHK.reshape(*x.shape[:2], heads * head_width)
    return after, Dense(self.width, name='value')(xi_BTI)
