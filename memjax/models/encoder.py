"""Raw inputs to vectors, and back to the ids that they are most like."""

from typing import Any

from flax import linen as nn
import jax

from memjax.models.adaptive import AdaptiveEmbedding, Tables
from memjax.models.clusters import Clusters
from memjax.models.dense import Dense, rows_product
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
    clusters: of the ids, for an adaptive table; None for a plain one.
  """

  spec: Spec
  width: int
  sentences: str = 'position'
  scale: float = 1.0
  clusters: Clusters | None = None

  def setup(self) -> None:
    self._table: Any
    if self.clusters:
      self._table = AdaptiveEmbedding(self.clusters, name='embedding')
    elif self.spec.discrete:
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
    return rows_product(h, self._table.embedding)

  def shared(self) -> Tables:
    """What an adaptive table shares with the readout."""
    return self._table.shared()
