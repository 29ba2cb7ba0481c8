"""Compression: compress a row into one vector and read every token out of it.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: T - 1 tokens, uniform in 0..V-2, then the compression token,
V - 1. The model's output at that position holds logits for all T - 1 tokens:
(T - 1)(V - 1) numbers, V - 1 for the first token, and so on. Its outputs at
other positions are ignored.
Labels: the T - 1 tokens, at the last position, one-hot. Their distance is
T - 1, the number of steps back to the first token.
Metrics: `loss`, nats per token; `accuracy` over tokens; `exact_match`, the
share of rows with every token right. Chance is 1/(V - 1).
Deviations: the paper reads token t out of the last vector plus an encoding of
t, with a small network shared by all t; here each token has its own linear map,
the readout of the model. The compression token is not a label.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import GeneratedTask, classification, exact_match
from memjax.types import Batch, Example, Features, Metrics, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compression(GeneratedTask):
  """Tokens to compress into one vector.

  Attributes:
    length: T, including the compression token.
    vocab: V, including the compression token.
  """

  length: int = 32
  vocab: int = 16
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    require(self.length >= 2, 'length', self.length, 'must be at least 2')
    require(self.vocab >= 3, 'vocab', self.vocab, 'must be at least 3')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  @property
  def output_spec(self) -> Features:
    return Features((self.length - 1) * (self.vocab - 1))

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    choices = self.vocab - 1
    return {
      'loss': {'any token': math.log(choices)},
      'accuracy': {'any token': 1 / choices},
    }

  def example(self, key: RowKey) -> Example:
    last, choices = self.length - 1, self.vocab - 1
    tokens = jax.random.randint(key, (last,), 0, choices)
    label = jax.nn.one_hot(tokens, choices).reshape(-1)
    return Example(
      jnp.append(tokens, choices),
      jnp.zeros((self.length, len(label))).at[last].set(label),
      jnp.zeros(self.length).at[last].set(1.0),
      jnp.zeros(self.length, jnp.int32).at[last].set(last),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    """Counts each of the T - 1 tokens of a labelled step as a label."""
    tokens, choices = self.length - 1, self.vocab - 1
    logits_BSV = y.reshape(len(y), -1, choices)
    targets_BSV = batch.targets.reshape(len(y), -1, choices)
    flat = batch._replace(
      targets=jnp.argmax(targets_BSV, axis=-1),
      loss_weights_BT=jnp.repeat(batch.loss_weights_BT, tokens, axis=1),
    )
    return classification(logits_BSV, flat) | {
      'exact_match': exact_match(logits_BSV, flat)
    }
