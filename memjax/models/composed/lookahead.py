"""A memory that waits k steps before it answers, and so sees k steps ahead.

    f_t, carry = forward(x_t, carry)
    b_t = the last output of backward(x_t, x_(t-1), ..., x_(t-k))
    y_t = W [f_(t-k), b_t] + b     k > 0
    y_t = f_t                      k = 0

The output at step t speaks of step t - k: it is what `bidirectional` says of
that step when its segment ends at t. So k = 0 is the plain memory, and a k as
long as the run is the bidirectional one. Within the first k steps of a run
there is no step to speak of, and y_t = 0. The last k steps of a run would be
spoken of after its end: `tasks/composed/delayed.py` adds k blank steps to each
run and moves every label by k. A model and a task of different delays are
refused.

Paper: Zhang et al. 2016, https://arxiv.org/abs/1510.08983, section 4, with
blocks of one step; k steps of delay as in Graves & Schmidhuber 2005.
Carry: that of the forward memory, the last k inputs and forward outputs,
`(B, k, D)` float32 each, and the number of steps since the last reset, `(B,)`
int32, counted up to k.
Cost per step: k + 2 times that of the memory, and 2 D².
Deviations: Zhang et al. read blocks of many steps with one backward pass, so
that the first step of a block sees more of what follows than the last one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.models.positions import positions_in_block
from memjax.types import Carry, Reset_BT, Sequence_BTD


class Waiting(NamedTuple):
  """The forward memory's carry, and the steps that were not spoken of yet.

  Attributes:
    forward: the carry of the forward memory.
    x_BSD: float32, the last k inputs.
    f_BSD: float32, the last k outputs of the forward memory.
    age_B: int32, the number of steps since the last reset, up to k.
  """

  forward: Carry
  x_BSD: jax.Array
  f_BSD: jax.Array
  age_B: jax.Array


class Lookahead(Memory):
  """A memory whose output at a step speaks of the step k steps before.

  Intermediates: those of the forward memory.

  Attributes:
    width: D, of the inputs too.
    layer: the memory.
    steps: k, at least 0.
  """

  width: int
  layer: Memory
  steps: int

  def __post_init__(self) -> None:
    require(self.steps >= 0, 'steps', self.steps, 'must be at least 0')
    super().__post_init__()

  @property
  def answer_delay(self) -> int:
    return self.steps + self.layer.answer_delay

  @property
  def causal(self) -> bool:
    return self.layer.causal

  @property
  def breaks(self) -> Mapping[str, str]:
    return self.layer.breaks

  @property
  def horizon(self) -> int:
    return self.layer.horizon and self.layer.horizon + self.steps

  def with_horizon(self, horizon: int) -> 'Lookahead':
    rule = f'must be above steps, {self.steps}'
    require(horizon > self.steps, 'horizon', horizon, rule)
    return self.clone(layer=self.layer.with_horizon(horizon - self.steps))

  def initial_carry(self, batch_size: int) -> Carry:
    forward = self.layer.initial_carry(batch_size)
    if not self.steps:
      return forward
    shape = batch_size, self.steps, self.width
    age_B = jnp.zeros((batch_size,), jnp.int32)
    return Waiting(forward, jnp.zeros(shape), jnp.zeros(shape), age_B)

  @nn.compact
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    ahead = self.layer.copy(name='forward')
    if not self.steps:
      return ahead(carry, x, reset_BT, train=train)
    forward, f_BTD = ahead(carry.forward, x, reset_BT, train=train)
    x_BSD, f_BSD = (
      jnp.concatenate([old.astype(new.dtype), new], axis=1)
      for old, new in ((carry.x_BSD, x), (carry.f_BSD, f_BTD))
    )
    behind_BTD = self._read_backwards(x_BSD, x.shape[1], train)
    both = jnp.concatenate([f_BSD[:, : x.shape[1]], behind_BTD], axis=-1)
    y_BTD = Dense(self.width, name='output')(both)
    next_B, age_BT = positions_in_block(carry.age_B, reset_BT, 0)
    after = Waiting(
      forward,
      x_BSD[:, -self.steps :].astype(jnp.float32),
      f_BSD[:, -self.steps :].astype(jnp.float32),
      jnp.minimum(next_B, self.steps),
    )
    return after, jnp.where(age_BT[..., None] >= self.steps, y_BTD, 0)

  def _read_backwards(
    self, x_BSD: jax.Array, length: int, train: bool
  ) -> jax.Array:
    """b of the last `length` steps, each read from itself back by k steps."""
    fresh = self.layer.initial_carry(len(x_BSD))
    back = jnp.arange(self.steps, -1, -1)
    windows_BTKD = x_BSD[:, jnp.arange(length)[:, None] + back[None]]
    no_reset_BK = jnp.zeros((len(x_BSD), len(back)), bool)

    def read(layer: Memory, x_BKD: jax.Array) -> jax.Array:
      return layer(fresh, x_BKD, no_reset_BK, train=train)[1][:, -1]

    # What the backward memory shows of itself has no step to stand at.
    each: Any = nn.vmap(
      read,
      in_axes=1,
      out_axes=1,
      variable_axes={'params': None},
      split_rngs={'params': False, 'dropout': True},
    )
    b_BTD: jax.Array = each(self.layer.copy(name='backward'), windows_BTKD)
    return b_BTD
