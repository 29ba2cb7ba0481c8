"""In-context recall: key-value pairs, and keys that appear again.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: T/2 consecutive pairs of a key of 0..V/2-1 and its value of
V/2..V-1. Keys are uniform, with repetition; the key of the last pair is uniform
among the keys that appeared before. A key keeps its value within a row; values
are drawn for each row, and two keys may have the same value.
Labels: the value of a key that appeared before, at the key's position. The
distance is the number of steps back to the value's last appearance. The last
pair always has a label.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Deviations: training counts the labels only; the code trains on every next token
and counts labels in its evaluation. The code cuts off the value of the last
pair, which affects no label.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class InContextRecall(TokenTask):
  """The values of keys that appeared before.

  Attributes:
    length: T, even.
    vocab: V, half keys and half values.
  """

  length: int = 128
  vocab: int = 16
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    even(self.length)
    require(self.vocab >= 4, 'vocab', self.vocab, 'must be at least 4')

  @property
  def labels(self) -> int:
    return self.length // 2 - 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return random_value(self.vocab - self.vocab // 2)

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_last = jax.random.split(key, 3)
    keys = self.vocab // 2
    key_P = jax.random.randint(of_keys, (self.length // 2,), 0, keys)
    key_P = key_P.at[-1].set(one_of(of_last, key_P[:-1], keys))
    values_K = jax.random.randint(of_values, (keys,), keys, self.vocab)
    return recall(key_P, jnp.stack([key_P, values_K[key_P]], axis=-1))


def even(length: int) -> None:
  """Requires a length of at least two pairs."""
  require(length % 2 == 0, 'length', length, 'must be even')
  require(length >= 4, 'length', length, 'must be at least 4')


def random_value(values: int) -> dict[str, dict[str, float]]:
  """Scores of answering with a random value."""
  return {
    'loss': {'any value': math.log(values)},
    'accuracy': {'any value': 1 / values},
  }


def one_of(key: RowKey, ids_P: jax.Array, size: int) -> jax.Array:
  """A uniform choice among the different numbers below `size` in ids_P."""
  present = jnp.zeros(size).at[ids_P].set(1.0, mode='drop')
  return jax.random.categorical(key, jnp.log(present))


def appearances(ids_P: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The first and the previous index of each number; -1: no previous one."""
  # A stable sort puts equal numbers side by side, in their order.
  order_P = jnp.argsort(ids_P, stable=True)
  sorted_P = ids_P[order_P]
  again_P = jnp.append(False, sorted_P[1:] == sorted_P[:-1])
  begins_P = jax.lax.cummax(jnp.where(again_P, 0, jnp.arange(len(ids_P))))
  before_P = jnp.where(again_P, jnp.roll(order_P, 1), -1)
  zeros_P = jnp.zeros_like(order_P)
  return (
    zeros_P.at[order_P].set(order_P[begins_P]),
    zeros_P.at[order_P].set(before_P),
  )


def recall(ids_P: jax.Array, pairs_P2: jax.Array) -> Example:
  """A row of pairs; every value whose key appeared before is a label.

  Args:
    ids_P: pairs of equal ids have the same key.
    pairs_P2: their tokens.
  """
  before_P = appearances(ids_P)[1]
  labelled_P = before_P >= 0
  distance_P = 2 * (jnp.arange(len(ids_P)) - before_P) - 1

  def at_keys(x_P: jax.Array) -> jax.Array:
    x_P = jnp.where(labelled_P, x_P, 0)
    return jnp.stack([x_P, jnp.zeros_like(x_P)], axis=-1).reshape(-1)

  return Example(
    pairs_P2.reshape(-1),
    at_keys(pairs_P2[:, 1]),
    at_keys(jnp.ones(len(ids_P))),
    at_keys(distance_P),
  )
