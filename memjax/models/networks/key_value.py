"""Key-value memory: addressed by what came before, read for what came next.

Paper: Miller et al. 2016, https://arxiv.org/abs/1606.03126. The paper reads the
pairs from a source before the question: the word at a window's centre is the
value and the window its key, or subject and relation of a triple of a knowledge
base are the key and the object is the value. In a stream, a pair is two
successive steps, and the later one is the value of the earlier:

    k_s = A_K x_(s-1),   v_s = A_V x_s,   q_1 = A x_t
    p_s = softmax_s(q_j · k_s),   o = sum_s p_s v_s
    q_(j+1) = R_j (q_j + o),   y_t = q_(H+1)       j = 1 ... H, the hops

over the last M pairs, with the pair of step t, whose value is x_t. The first
step after a reset forms no pair; without any pair, o = 0.

Carry: keys and values of the last M pairs, `(B, M, D)` float32 each, the key
that waits for its value, `(B, D)` float32, and the number of steps that formed
the pairs, `(B,)` int32. Cost per step: 3 B D F + H (2 B M D + B D D) for
inputs of width F. Parameters: kernels normal, of variance 1 / (their inputs).
Deviations: the pairs; separate maps for queries, keys and values, where the
paper has one map and different features; no candidates, as the Stack reads y
out; no shortlist by hashing, as the last M pairs are the shortlist.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
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


class Pairs(NamedTuple):
  """The last pairs, the newest in the last slot.

  Attributes:
    k_BMD: float32 keys.
    v_BMD: float32 values.
    next_BD: float32, the last step's key; its value is the next step.
    steps_B: int32, the steps since the last reset, counted up to M + 1; one
      less is how many slots are filled.
  """

  k_BMD: jax.Array
  v_BMD: jax.Array
  next_BD: jax.Array
  steps_B: jax.Array


class KeyValueMemory(Memory):
  """Reads the last pairs of successive steps, in hops.

  Intermediates: `hop_0_lag_weights`, `(B, T, 1, M)`, of hop 0, and so on. The
  lag is the number of steps since the pair's value; without pairs, weights are
  0.

  Attributes:
    width: D.
    slots: M, at least 1.
    hops: H, at least 1.
    chunk: the number of queries read at once, at least.
  """

  width: int
  slots: int
  hops: int = 1
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    for field in ('width', 'slots', 'hops', 'chunk'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  @property
  def breaks(self) -> Mapping[str, str]:
    reason = 'the weight of a single pair is 1, whatever its key'
    return {'horizon': reason} if self.slots == 1 else {}

  @property
  def horizon(self) -> int:
    return self.slots

  def with_horizon(self, horizon: int) -> Memory:
    require(horizon >= 1, 'horizon', horizon, 'must be at least 1')
    return self.clone(slots=horizon)

  def initial_carry(self, batch_size: int) -> Pairs:
    shape = (batch_size, self.slots, self.width)
    return Pairs(
      jnp.zeros(shape),
      jnp.zeros(shape),
      jnp.zeros((batch_size, self.width)),
      jnp.zeros((batch_size,), jnp.int32),
    )

  @nn.compact
  def __call__(
    self,
    carry: Pairs,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Pairs, Sequence_BTD]:
    del train
    q_BTD, k_BTD, v_BTD = (
      Dense(self.width, use_bias=False, name=name)(x)
      for name in ('query', 'key', 'value')
    )
    # The first step of a run is a run of its own, its pair no key and no value.
    first_BT = reset_BT.at[:, 0].set(reset_BT[:, 0] | (carry.steps_B == 0))
    second_BT = jnp.pad(first_BT[:, :-1], [(0, 0), (1, 0)])
    filled_B = jnp.maximum(carry.steps_B - 1, 0)
    run_BS = run_ids(filled_B, self.slots, first_BT | second_BT)
    waiting = [carry.k_BMD, carry.next_BD[:, None]]
    k_BSD = jnp.concatenate([k.astype(k_BTD.dtype) for k in waiting], axis=1)
    k_BSD = jnp.concatenate([k_BSD, k_BTD[:, :-1]], axis=1)
    v_BTD = jnp.where(first_BT[:, :, None], 0, v_BTD)
    v_BSD = jnp.concatenate([carry.v_BMD.astype(v_BTD.dtype), v_BTD], axis=1)
    for j in range(self.hops):
      q, k, v = (a[:, :, None] for a in (q_BTD, k_BSD, v_BSD))
      o_BTHD = windowed_attention(
        q, k, v, run_BS, self.slots - 1, chunk=self.chunk
      )
      o_BTD = o_BTHD[:, :, 0]
      if wants_intermediates(self):
        weights = weights_by_lag(q, k, run_BS, self.slots - 1)
        weights = jnp.where(first_BT[:, :, None, None], 0, weights)
        self.sow('intermediates', f'hop_{j}_lag_weights', weights)
      turn = Dense(self.width, use_bias=False, name=f'hop_{j}')
      q_BTD = turn(q_BTD + o_BTD)
    after = Pairs(
      k_BSD[:, -self.slots :].astype(jnp.float32),
      v_BSD[:, -self.slots :].astype(jnp.float32),
      k_BTD[:, -1].astype(jnp.float32),
      jnp.where(first_BT[:, -1], 1, last_run(run_BS, self.slots) + 1),
    )
    return after, q_BTD
