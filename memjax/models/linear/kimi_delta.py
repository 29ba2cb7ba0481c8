"""Kimi Delta Attention: the gated delta rule with a decay for each key channel.

As `gated_delta_net`, with a decay a_t of K numbers for each head and a gate of
low rank:

    a_t = exp(-exp(r) softplus(W_2 W_1 x_t + c))                (K,) per head
    w_t = diag(a_t) w_(t-1) + b_t k_t (v_t - (diag(a_t) w_(t-1))' k_t)'

and the output is W_o [rms(y) * sigma(V_2 V_1 x + d)]_heads.

Paper: Kimi Team 2025, https://arxiv.org/abs/2510.26692.
Carry: w `(B, H, K, V)` and the tail of the convolution
`(B, W - 1, H K + n H (K + V))`, float32.
Cost per step: (W + D) (H K + n H (K + V)) + D H (V + n) + D (K + V) +
H (K K + V V), and n H (3 K V + C (5 K + 3 V) / 2) in chunks of C writes; linear
in T.
Parameters: as in `gated_delta_net`, c for each channel; d 0.
Deviations: those of `delta_net`; a decay below exp(-5) counts as exp(-5)
(`ops/decays.py`). The paper puts full attention in every fourth layer: a
pattern of the Stack.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.delta_net import DeltaNet
from memjax.models.mixing import draw_log_rate, draw_step_bias
from memjax.types import Inputs_BTF


class KimiDelta(DeltaNet):
  """Forgets each key channel by a share of its own, then corrects.

  Intermediates: b as `write_gate`, halved where `negative`, `(B, T, H)`, and a
  as `forget_gate`, `(B, T, H K)`.
  """

  def log_decay(self, x: Inputs_BTF, heads: int) -> jax.Array:
    keys = self.head_width
    low = Dense(keys, False, name='decay_low')(x)
    a = Dense(heads * keys, False, name='decay_input')(low)
    log_rate_H = self.param('log_rate', draw_log_rate, (heads,))
    bias_I = self.param('decay_bias', draw_step_bias, (heads * keys,))
    dt = nn.softplus((a + bias_I[None, None]).astype(jnp.float32))
    dt_BTHK = dt.reshape(*x.shape[:2], heads, keys)
    rate_H = jnp.exp(log_rate_H.astype(jnp.float32))
    log_decay = -rate_H[None, None, :, None] * dt_BTHK
    if wants_intermediates(self):
      self.sow(
        'intermediates', 'forget_gate', jnp.exp(log_decay).reshape(a.shape)
      )
    return log_decay

  def gated(self, y_BTI: jax.Array, x: Inputs_BTF) -> jax.Array:
    low = Dense(self.value_ratio * self.head_width, False, name='gate_low')(x)
    return y_BTI * nn.sigmoid(Dense(y_BTI.shape[-1], name='gate')(low))
