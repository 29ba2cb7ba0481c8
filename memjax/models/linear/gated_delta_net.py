"""Gated delta rule: a memory that decays before each correction.

As `delta_net`, with a decay a_t of each head and a gate on each read:

    a_t = exp(-exp(r) softplus(W_a x_t + c))
    w_t = a_t w_(t-1) + b_t k_t (v_t - a_t w_(t-1)' k_t)',   y_t = w_t' q_t

and the output is W_o [rms(y) * silu(W_g x)]_heads. A decay near 0 clears the
memory in one step; a correction replaces a single key.

Paper: Yang et al. 2024, https://arxiv.org/abs/2412.06464.
Carry: w `(B, H, K, V)` and the tail of the convolution
`(B, W - 1, H K + n H (K + V))`, float32.
Cost per step: (W + D) (H K + n H (K + V)) + D H (2 V + n + 1), and
n H (3 K V + C (5 K + 3 V) / 2) in chunks of C writes; linear in T.
Parameters: as in `delta_net`; r and c are drawn as in Mamba-2
(`models/mixing.py`).
Deviations: those of `delta_net`; exp(r) starts in [1, 16], not in [0, 16].
"""

from flax import linen as nn
import jax

from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.delta_net import DeltaNet
from memjax.models.mixing import Decay
from memjax.types import Inputs_BTF


class GatedDeltaNet(DeltaNet):
  """Forgets by the share 1 - a, then corrects what it reads at the key.

  Intermediates: b as `write_gate`, halved where `negative`, and a as
  `forget_gate`, `(B, T, H)` each.

  Attributes:
    value_ratio: V / K.
  """

  value_ratio: int = 2

  def log_decay(self, x: Inputs_BTF, heads: int) -> jax.Array:
    a_BTH = Dense(heads, False, name='decay_input')(x)
    _, log_decay_BTH = Decay(name='decay')(a_BTH)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jax.numpy.exp(log_decay_BTH))
    return log_decay_BTH

  def gated(self, y_BTI: jax.Array, x: Inputs_BTF) -> jax.Array:
    return y_BTI * nn.silu(Dense(y_BTI.shape[-1], False, name='gate')(x))
