"""Compositional recall: a key is two tokens, and neither alone tells the value.

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927; the task is
from its code.
Specification: g first and g second tokens are drawn without repetition, first
ones from 1..V/3-1, second ones from V/3..2V/3-1. Their g^2 pairs, in uniformly
random order, each with a different value of 2V/3..V-1, fill the first 3g^2
positions: first, second, value. Each pair is then queried once, at 3g^2 + 3j
and the position after it, with different uniform numbers j of
0..(T-3g^2)/3-1. All other positions are 0, or with `random_fillers` tokens that
are uniform in 0..V-1.
Labels: the value, at the second token of its query. The distance is the number
of steps back to the value.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Answering with a random value scores one
in the number of values, with a random value of the row 1/g^2, with a value of
the first token 1/g.
Deviations: queries are uniform; the code's prefer early places, as
`mqar.MQAR` does.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.tasks.draws import distinct
from memjax.types import Example, RowKey

FILLERS = 1  # folded into a row's key to draw its random fillers


@dataclasses.dataclass(frozen=True, kw_only=True)
class MQARCompositional(TokenTask):
  """Pairs of key tokens on a grid, and one query for every pair.

  Attributes:
    length: T, at least 6 x grid^2, so that every query has a position.
    grid: g, number of first tokens, and of second ones.
    vocab: V, a third of it each for first tokens, second tokens and values.
    random_fillers: whether the other positions hold random tokens, not 0.
  """

  length: int = 64
  grid: int = 2
  vocab: int = 8192
  random_fillers: bool = False
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    require(self.grid >= 2, 'grid', self.grid, 'must be at least 2')
    least = 6 * self.grid**2
    rule = f'must be at least 6 x grid^2, {least}'
    require(self.length >= least, 'length', self.length, rule)
    least = 3 * max(self.grid + 1, self.grid**2)
    rule = f'must be at least {least}, for the tokens of grid {self.grid}'
    require(self.vocab >= least, 'vocab', self.vocab, rule)

  @property
  def labels(self) -> int:
    return self.grid**2

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    values, pairs = self.vocab - 2 * (self.vocab // 3), self.grid**2
    among = {
      'any value': values,
      'any value of the row': pairs,
      'any value of the first token': self.grid,
    }
    return {
      'loss': {name: math.log(n) for name, n in among.items()},
      'accuracy': {name: 1 / n for name, n in among.items()},
    }

  def example(self, key: RowKey) -> Example:
    of_first, of_second, of_values, of_order, of_places = jax.random.split(
      key, 5
    )
    third, pairs = self.vocab // 3, self.grid**2
    first_G = 1 + distinct(of_first, self.grid, third - 1)
    second_G = third + distinct(of_second, self.grid, third)
    order_P = distinct(of_order, pairs, pairs)
    one_P, two_P = first_G[order_P // self.grid], second_G[order_P % self.grid]
    values = self.vocab - 2 * third
    value_P = 2 * third + distinct(of_values, pairs, values)
    shown = 3 * pairs
    places = distinct(of_places, pairs, (self.length - shown) // 3)
    query_P = shown + 3 * places
    nothing = jnp.zeros(self.length, jnp.int32)
    tokens = nothing
    if self.random_fillers:
      of_fillers = jax.random.fold_in(key, FILLERS)
      tokens = jax.random.randint(of_fillers, (self.length,), 0, self.vocab)
    context = jnp.stack([one_P, two_P, value_P], axis=-1).reshape(-1)
    tokens = tokens.at[:shown].set(context).at[query_P].set(one_P)
    label_P = query_P + 1
    return Example(
      tokens.at[label_P].set(two_P),
      nothing.at[label_P].set(value_P),
      jnp.zeros(self.length).at[label_P].set(1.0),
      nothing.at[label_P].set(label_P - (3 * jnp.arange(pairs) + 2)),
    )
