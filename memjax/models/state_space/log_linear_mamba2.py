"""Log-linear Mamba-2: a memory for each scale of the past, each read anew.

As `mamba2`, with memories of L levels. With p_t the number of steps before t in
its run, what step s wrote is read at t with the weight of level l(t, s), the
number of binary digits of p_t XOR p_s:

    lambda_t = softplus(c * W_l x_t)                   L + 1 numbers per head
    y_t = sum_(s<=t) lambda_t,l(t,s) (a_(s+1) ... a_t) (c_t · b_s) dt_s x_s
          + d x_t

Level 0 is the step itself. Each level covers up to twice as many steps as the
one below, so that the near past is told apart finely and the far past coarsely
(`ops/fenwick.py`). Levels from L on are one.

Paper: Guo et al. 2025, https://arxiv.org/abs/2506.04761.
Carry: w `(B, L, H, N, P)` and the tail of the convolution
`(B, W - 1, E + 2 N)`, float32, and the number of steps since the last reset
`(B,)`, int32.
Cost per step: D (2 E + 2 N + H (L + 2)) + D E + W (E + 2 N), and
(L + 1) N E + C H (N + P + L) in chunks of C steps; linear in T for L levels,
which cover 2^L steps.
Parameters: as in `mamba2`; c 1.
Deviations: those of `mamba2`. W_l is a kernel of its own, not a part of W_in.
"""

from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.dense import Dense
from memjax.models.state_space.mamba2 import Mamba2
from memjax.ops.fenwick import add_levels
from memjax.types import Inputs_BTF, Reset_BT


class Levels(NamedTuple):
  """What a log-linear memory behind a short convolution remembers.

  Attributes:
    w_BLHKV: float32 memories, by level.
    count_B: int32, number of steps since the last reset.
    tail_BWI: float32, the last inputs of the convolution.
  """

  w_BLHKV: jax.Array
  count_B: jax.Array
  tail_BWI: jax.Array


class LogLinearMamba2(Mamba2):
  """Reads each scale of the past with a weight of its own.

  Intermediates: a as `forget_gate`, `(B, T, H)`.

  Attributes:
    levels: L. 2^L steps are told apart.
  """

  levels: int = 10

  def __post_init__(self) -> None:
    check_levels(self.levels)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Levels:
    w_BHKV, tail = super().initial_carry(batch_size)
    shape = batch_size, self.levels, *w_BHKV.shape[1:]
    return Levels(jnp.zeros(shape), jnp.zeros(batch_size, jnp.int32), tail)

  def remember(
    self,
    carry: Any,
    x: Inputs_BTF,
    q_BTHN: jax.Array,
    k_BTHN: jax.Array,
    v_BTHP: jax.Array,
    reset_BT: Reset_BT,
    log_decay_BTH: jax.Array,
  ) -> tuple[Any, jax.Array]:
    (w, count_B), y_BTHP = add_levels(
      carry.w_BLHKV,
      carry.count_B,
      q_BTHN,
      k_BTHN,
      v_BTHP,
      level_weights(self, x, q_BTHN.shape[2], self.levels),
      reset_BT,
      log_decay=log_decay_BTH,
      chunk=self.chunk,
    )
    return carry._replace(w_BLHKV=w, count_B=count_B), y_BTHP


def check_levels(levels: int) -> None:
  """Requires levels that the count of steps can tell apart."""
  require(1 <= levels <= 30, 'levels', levels, 'must be from 1 to 30')


def level_weights(
  module: nn.Module, x: Inputs_BTF, heads: int, levels: int
) -> jax.Array:
  """lambda, `(B, T, H, L + 1)`, by parameters of the module."""
  weights = heads * (levels + 1)
  a = Dense(weights, False, name='level_input')(x).astype(jnp.float32)
  ones = nn.initializers.ones_init()
  scale = module.param('level_scale', ones, (weights,)).astype(jnp.float32)
  weight = nn.softplus(scale[None, None] * a)
  return weight.reshape(*x.shape[:2], heads, levels + 1)
