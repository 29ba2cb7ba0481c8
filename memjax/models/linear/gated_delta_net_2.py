"""Gated DeltaNet-2: what is erased at a key and what is written are two gates.

As `kimi_delta`, with a gate b_t of K numbers for each head that erases and one,
o_t, of V numbers that writes:

    b_t = sigma(W_b x_t),   twice that where `negative`,   o_t = sigma(W_o' x_t)
    w_t = diag(a_t) w_(t-1)
          + k_t (o_t * v_t - (diag(a_t) w_(t-1))' (b_t * k_t))'

Kimi Delta Attention is the case b = o = beta, one number a head.

Paper: Hatamizadeh, Choi & Kautz 2026, https://arxiv.org/abs/2605.22791.
Carry: w `(B, H, K, V)` and the tail of the convolution
`(B, W - 1, H K + n H (K + V))`, float32.
Cost per step: (W + D) (H K + n H (K + V)) + D H (V + n K + n V) + D (K + V) +
H (K K + V V), and n H (3 K V + C (5 K + 3 V) / 2) in chunks of C writes; linear
in T.
Parameters: as in `kimi_delta`.
Deviations: those of `kimi_delta`; no groups of value heads.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.kimi_delta import KimiDelta
from memjax.types import Inputs_BTF


class GatedDeltaNet2(KimiDelta):
  """Erases by a share of each key channel, writes one of each value channel.

  Intermediates: o as `write_gate`, `(B, T, n H V)`, b as `erase_gate`,
  `(B, T, n H K)`, halved where `negative`, and a as `forget_gate`,
  `(B, T, H K)`.
  """

  def shares(self, x: Inputs_BTF, heads: int) -> tuple[jax.Array, jax.Array]:
    keys, values = self.head_width, self.value_ratio * self.head_width

    def gate(name: str, width: int) -> jax.Array:
      a = Dense(self.writes * heads * width, False, name=name)(x)
      share = nn.sigmoid(a.astype(jnp.float32))
      if wants_intermediates(self):
        self.sow('intermediates', f'{name}_gate', share)
      return share.reshape(len(x), -1, heads, width)

    erased = gate('erase', keys) * (2 if self.negative else 1)
    return gate('write', values), erased
