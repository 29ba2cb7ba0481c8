"""Log-linear gated delta rule: each scale of the past is read anew.

As `gated_delta_net`, with memories of L levels. With p_t the number of steps
before t in its run, what step s wrote is of level l(t, s), the number of binary
digits of p_t XOR p_s. A step corrects the memories of all levels alike, and
reads each with a weight of its own:

    lambda_t = softplus(c * W_l x_t)                   L + 1 numbers per head
    w_t^l = a_t (I - b_t k_t k_t') w_(t-1)^l           levels merge as p grows
    w_t^0 = b_t k_t v_t',   y_t = sum_l lambda_t,l w_t^l' q_t

Level 0 is the step itself. Each level covers up to twice as many steps as the
one below (`ops/fenwick.py`). Levels from L on are one.

Paper: Guo et al. 2025, https://arxiv.org/abs/2506.04761.
Carry: w `(B, L, H, K, V)` and the tail of the convolution
`(B, W - 1, H (2 K + V))`, float32, and the number of steps since the last reset
`(B,)`, int32.
Cost per step: (W + D) H (2 K + V) + D H (2 V + L + 3), and
H (2 L K V + K V + C (4 K + V + L + C / 2)) in chunks of C steps; linear in T
for L levels, which cover 2^L steps.
Parameters: as in `gated_delta_net`; c 1.
Deviations: those of `gated_delta_net`. Reads are divided by sqrt(K) as there,
which the norm after them undoes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.linear.gated_delta_net import GatedDeltaNet
from memjax.models.state_space.log_linear_mamba2 import (
  Levels,
  check_levels,
  level_weights,
)
from memjax.ops.fenwick import correct_levels
from memjax.types import Inputs_BTF, Reset_BT


class LogLinearGatedDeltaNet(GatedDeltaNet):
  """Reads each scale of what it has corrected with a weight of its own.

  Intermediates: b as `write_gate`, halved where `negative`, and a as
  `forget_gate`, `(B, T, H)` each.

  Attributes:
    levels: L. 2^L steps are told apart.
    writes: 1.
  """

  levels: int = 10

  def __post_init__(self) -> None:
    check_levels(self.levels)
    require(self.writes == 1, 'writes', self.writes, 'must be 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Levels:
    w_BHKV, tail = super().initial_carry(batch_size)
    shape = batch_size, self.levels, *w_BHKV.shape[1:]
    return Levels(jnp.zeros(shape), jnp.zeros(batch_size, jnp.int32), tail)

  def remember(
    self,
    carry: Any,
    x: Inputs_BTF,
    q_BTHK: jax.Array,
    k_BSHK: jax.Array,
    v_BSHV: jax.Array,
    erase_BSHK: jax.Array,
    reset_BT: Reset_BT,
    log_decay: Any,
  ) -> tuple[Any, jax.Array]:
    (w, count_B), y_BTHV = correct_levels(
      carry.w_BLHKV,
      carry.count_B,
      q_BTHK,
      k_BSHK,
      v_BSHV,
      erase_BSHK,
      level_weights(self, x, q_BTHK.shape[2], self.levels),
      reset_BT,
      log_decay=log_decay,
      chunk=self.chunk,
    )
    return carry._replace(w_BLHKV=w, count_B=count_B), y_BTHV
