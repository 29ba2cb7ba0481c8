"""How the steps of an answer read the encoded steps of their source."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import wants_intermediates
from memjax.models.composed.source import Places, by_slot
from memjax.models.dense import Dense
from memjax.ops.cross_attention import ADDITIVE, cross_attention, shares
from memjax.types import Sequence_BTD


class SourceAttention(nn.Module):
  """tanh(W_c [o_t, h_t]), with o_t what step t reads; see encoder_decoder.py.

  Intermediates: `read_weights`, `(B, T, 1, S)`.

  Attributes:
    width: D.
    kind: 'additive' or 'dot'.
  """

  width: int
  kind: str

  @nn.compact
  def __call__(
    self, places: Places, h_BTD: Sequence_BTD, states_BED: jax.Array
  ) -> Sequence_BTD:
    q_BTD, k_BED, v_D = h_BTD, states_BED, None
    if self.kind == ADDITIVE:
      q_BTD = Dense(self.width, use_bias=False, name='query')(h_BTD)
      k_BED = Dense(self.width, use_bias=False, name='key')(states_BED)
      draw = nn.initializers.normal(self.width**-0.5)
      v_D = self.param('v', draw, (self.width,))
    numbers = places.query_BT, places.key_BE
    if wants_intermediates(self):
      share_BTE = shares(q_BTD, k_BED, *numbers, v_D)
      self.sow('intermediates', 'read_weights', by_slot(places, share_BTE))
    o_BTD = cross_attention(q_BTD, k_BED, states_BED, *numbers, v_D)
    both = jnp.concatenate([o_BTD, h_BTD], axis=-1)
    return jnp.tanh(Dense(self.width, use_bias=False, name='merge')(both))
