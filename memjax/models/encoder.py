"""Raw inputs to vectors, and back to the ids that they are most like."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.dense import Dense
from memjax.models.sentences import ENCODERS
from memjax.types import Inputs, Sequence_BTD, Spec


class Encoder(nn.Module):
  """A table for ids, a linear map for features.

  Attributes:
    spec: what the inputs are.
    width: D.
    sentences: how the words of a sentence become one vector, a name of
      `ENCODERS`; used where a step is a sentence.
    scale: the factor of what comes out.
  """

  spec: Spec
  width: int
  sentences: str = 'position'
  scale: float = 1.0

  def setup(self) -> None:
    if self.spec.discrete:
      self._table = nn.Embed(self.spec.size, self.width, name='embedding')
    else:
      self._linear = Dense(self.width, name='linear')

  @nn.compact
  def __call__(self, inputs: Inputs) -> Sequence_BTD:
    x = self._table(inputs) if self.spec.discrete else self._linear(inputs)
    if self.spec.discrete and self.spec.shape:
      x = ENCODERS[self.sentences](x, inputs != 0)
    return x if self.scale == 1 else x * self.scale

  def scores(self, h: jax.Array) -> jax.Array:
    """h times each row of the table, `(..., V)` float32."""
    table_VD = self._table.embedding.astype(h.dtype)
    return jax.lax.dot_general(
      h,
      table_VD,
      (((h.ndim - 1,), (1,)), ((), ())),
      preferred_element_type=jnp.float32,
    )
