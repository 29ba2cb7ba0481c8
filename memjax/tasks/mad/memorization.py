"""Memorization: the values of keys, which no row contains.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: a fixed map gives each of the keys 0..(V-1)/2-1, rounded down, a
different value among the other tokens below V - 1. T/2 uniform keys, with
repetition, fill the even positions; the insert token V - 1 follows each.
Labels: the key's value, at the position of the insert token.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Deviations: every step draws new rows; the paper trains on 256 rows. These
contain every key many times, so the map to learn is the same. The map is drawn
with other random bits.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.tasks.draws import distinct
from memjax.tasks.mad.in_context_recall import random_value
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memorization(TokenTask):
  """A map that the parameters must store; labels have no distance.

  Attributes:
    length: T, even.
    vocab: V, including the insert token.
    map_seed: seed of the map.
  """

  length: int = 32
  vocab: int = 256
  map_seed: int = 12345

  def __post_init__(self) -> None:
    require(self.length % 2 == 0, 'length', self.length, 'must be even')
    require(self.length >= 2, 'length', self.length, 'must be at least 2')
    require(self.vocab >= 5, 'vocab', self.vocab, 'must be at least 5')
    seed, rule = self.map_seed, 'must be in 0..2^32-1'
    require(0 <= seed < 2**32, 'map_seed', seed, rule)

  @property
  def labels(self) -> int:
    return self.length // 2

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return random_value(self.vocab - 1 - self.keys)

  @property
  def keys(self) -> int:
    """Number of keys."""
    return (self.vocab - 1) // 2

  def example(self, key: RowKey) -> Example:
    insert, pairs = self.vocab - 1, self.length // 2
    values_K = self.keys + distinct(
      jax.random.key(self.map_seed), self.keys, insert - self.keys
    )
    key_P = jax.random.randint(key, (pairs,), 0, self.keys)
    row_P2 = jnp.stack([key_P, jnp.full(pairs, insert)], axis=-1)
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      row_P2.reshape(-1),
      nothing.at[1::2].set(values_K[key_P]),
      jnp.zeros(self.length).at[1::2].set(1.0),
    )
