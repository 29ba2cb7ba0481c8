"""Associative recall: a list of items and a query; recall the next item.

Paper: Graves et al. 2014, Neural Turing Machines, section 4.3 (associative
recall), https://arxiv.org/abs/1410.5401.
Specification: N items of three vectors of 6 fair bits, N uniform in 2-6, each
after a delimiter on a separate channel; then the query, a random one of the
first N - 1 items, between two query delimiters on another channel; then blank
steps, in which the item after it in the list is recalled. Rows are padded to
the 32 steps of six items.
Labels: the three steps after the second query delimiter. Their sequence length
is N.
Metrics: `loss`, nats per bit; `bits_wrong`, wrong bits per sequence;
`bits_per_sequence`, cross-entropy in bits; `exact_match`, the share of
sequences without a wrong bit. Chance is 9 of 18 bits wrong.
Deviations: none. Items may be equal by chance, once in 262,144 pairs.
"""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import ordered, positive
from memjax.tasks.draws import between
from memjax.tasks.ntm.bits import (
  BitTask,
  during,
  place,
  random_bits,
)
from memjax.types import Example, Features, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociativeRecall(BitTask):
  """The item that follows the query in the list.

  Attributes:
    bits: bits of a vector.
    vectors: vectors of an item.
    fewest: the fewest items, at least 2.
    most: the most items.
  """

  bits: int = 6
  vectors: int = 3
  fewest: int = 2
  most: int = 6
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'bits', 'vectors')
    ordered(self, 'fewest', 'most')
    require(self.fewest >= 2, 'fewest', self.fewest, 'must be at least 2')

  @property
  def input_spec(self) -> Features:
    return Features(self.bits + 2)

  @property
  def output_spec(self) -> Features:
    return Features(self.bits)

  @property
  def length(self) -> int:
    return self.most * (1 + self.vectors) + 2 * self.vectors + 2

  @property
  def labels(self) -> int:
    return self.vectors

  @property
  def answers(self) -> Sequence[int]:
    return [self.bits * self.vectors]

  def example(self, key: RowKey) -> Example:
    of_count, of_query, of_bits = jax.random.split(key, 3)
    count = between(of_count, self.fewest, self.most)
    query = jax.random.randint(of_query, (), 0, count - 1)
    items = random_bits(of_bits, self.most, self.vectors, self.bits)
    listed = jnp.pad(items, [(0, 0), (1, 0), (0, 2)]).at[:, 0, -2].set(1.0)
    query_SF = jnp.pad(items[query], [(1, 1), (0, 2)])
    query_SF = query_SF.at[jnp.array([0, -1]), -1].set(1.0)
    end = count * (1 + self.vectors)
    answer = end + len(query_SF), self.vectors, self.length
    return Example(
      place(listed.reshape(-1, self.bits + 2), 0, end, self.length)
      + place(query_SF, end, len(query_SF), self.length),
      place(items[query + 1], *answer),
      during(*answer),
      jnp.where(during(*answer) > 0, count, 0),
    )
