"""Memorization: the values of keys, which no row shows.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: a map gives each of the keys 0..(V-1)/2-1, rounded down, a value
of its own among the other tokens below V - 1; it is the same for all rows. T/2
keys, drawn with repetition, all alike, stand at the even positions; the insert
token V - 1 stands behind each.
Labels: the key's value, at the position of the insert token.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Deviations: rows are drawn anew at each step, where the paper trains on 256 of
them; they hold every key many times over, so what is to be learned is the same.
The map is drawn by other random bits.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.tasks.draws import distinct
from memjax.tasks.mad.in_context_recall import any_of
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memorization(TokenTask):
  """A map that is kept in the parameters: a label has no distance to tell.

  Attributes:
    length: T, even.
    vocab: V, the insert token among them.
    map_seed: which map.
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
    return any_of(self.vocab - 1 - self.keys)

  @property
  def keys(self) -> int:
    """How many there are."""
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
