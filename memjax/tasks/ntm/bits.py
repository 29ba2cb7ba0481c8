"""What tasks on vectors of bits share: drawing, placing and counting them.

Rows have the length that the longest answer needs; shorter ones are padded with
zeros. A model returns one logit per bit, and answers 1 if it is above 0.
"""

import abc
from collections.abc import Sequence
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memjax.tasks.base import GeneratedTask
from memjax.types import Batch, Metric, Metrics, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitTask(GeneratedTask):
  """A task whose answers are bits."""

  @property
  @abc.abstractmethod
  def answers(self) -> Sequence[int]:
    """The number of bits of an answer, for each of the equally likely cases."""

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """Scores of a fair coin for every bit."""
    mean = float(np.mean(self.answers))
    exact = float(np.mean([2.0**-bits for bits in self.answers]))
    return {
      'loss': {'chance': math.log(2)},
      'bits_wrong': {'chance': mean / 2},
      'bits_per_sequence': {'chance': mean},
      'exact_match': {'chance': exact},
    }

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    """Counts bits over the weighted steps, and rows with weighted steps.

    If a row is read in segments, each segment counts as a sequence.
    """
    logits = y.astype(jnp.float32)
    nats_BT = optax.sigmoid_binary_cross_entropy(logits, batch.targets).sum(-1)
    wrong_BT = ((logits > 0) != (batch.targets > 0.5)).sum(-1)
    loss_weights_BT = batch.loss_weights_BT
    nats = (nats_BT * loss_weights_BT).sum()
    wrong_B = (wrong_BT.astype(jnp.float32) * loss_weights_BT).sum(axis=1)
    labelled_B = (loss_weights_BT > 0).any(axis=1)
    exact = (labelled_B & (wrong_B == 0)).sum(dtype=jnp.float32)
    rows = labelled_B.sum(dtype=jnp.float32)
    return {
      'loss': Metric(nats, loss_weights_BT.sum() * y.shape[-1]),
      'bits_wrong': Metric(wrong_B.sum(), rows),
      'bits_per_sequence': Metric(nats / math.log(2), rows),
      'exact_match': Metric(exact, rows),
    }


def random_bits(key: RowKey, *shape: int) -> jax.Array:
  """Fair bits, 0.0 or 1.0."""
  return jax.random.bernoulli(key, shape=shape).astype(jnp.float32)


def during(
  start: jax.Array | int, count: jax.Array | int, length: int
) -> jax.Array:
  """`(T,)`: 1 from step `start` on for `count` steps, 0 elsewhere."""
  step_T = jnp.arange(length) - start
  return ((step_T >= 0) & (step_T < count)).astype(jnp.float32)


def place(
  x_SF: jax.Array,
  start: jax.Array | int,
  count: jax.Array | int,
  length: int,
) -> jax.Array:
  """`(T, F)`: the first `count` of x from step `start` on, 0 elsewhere."""
  shifted_TF = x_SF.take(jnp.arange(length) - start, axis=0, mode='clip')
  return shifted_TF * during(start, count, length)[:, None]
