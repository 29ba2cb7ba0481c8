"""Two memories that pass one carry on: one reads a source, one answers."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import Memory
from memjax.models.composed.layers import Layers
from memjax.types import Carry


class HandOver(nn.Module):
  """One step of both memories, with one carry: the encoder's until an answer.

  Attributes:
    encoder: the memory that reads the source.
    layer: the memory of the decoder.
    layers: the other fields of `Layers`.
  """

  encoder: Memory
  layer: Memory
  layers: Mapping[str, Any]

  @nn.compact
  def __call__(
    self, carries: Carry, now: tuple[jax.Array, ...], train: bool
  ) -> tuple[Carry, jax.Array]:
    x_BD, reset_B, answer_B = now
    read = x_BD[:, None], reset_B[:, None], train
    reads = Layers(self.encoder, **self.layers, name='source')(carries, *read)
    answers = Layers(self.layer, **self.layers, name='decoder')(carries, *read)

    def choose(one: jax.Array, other: jax.Array) -> jax.Array:
      rows = answer_B.reshape(answer_B.shape + (1,) * (one.ndim - 1))
      return jnp.where(rows, one, other)

    carries, y_B1D = jax.tree.map(choose, answers, reads)
    return carries, y_B1D[:, 0]
