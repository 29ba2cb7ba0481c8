"""N-back: does each symbol equal the one n steps before?

Paper: Kirchner 1958, https://doi.org/10.1037/h0043688.
Specification: T symbols of V. The first n are uniform. Each later symbol equals
the one n steps before with probability `matches`; else it is uniform among the
other V - 1.
Labels: every step from step n on: 1 if the two symbols are equal, else 0. The
distance is n.
Metrics: `loss`, nats per label; `accuracy`; `exact_match`, the share of rows
with every label right.
Baselines: a match depends on the symbol and the one n steps before, and is
independent of all others. So `without memory` answers the more frequent class,
and its loss is the entropy of a match.
Deviations: n, the number of symbols and the rate of matches differ between
experiments with people; here they are fields. Lures are not inserted.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  TokenTask,
  positive,
)
from memjax.types import Example, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class NBack(TokenTask):
  """A stream of symbols, each compared with the one n steps before.

  Attributes:
    n: number of steps back.
    length: T, steps of a row.
    symbols: V, number of symbols.
    matches: probability of a match.
  """

  n: int = 2
  length: int = 50
  symbols: int = 8
  matches: float = 0.3
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'n')
    rule = f'must be above n, {self.n}'
    require(self.length > self.n, 'length', self.length, rule)
    require(self.symbols >= 2, 'symbols', self.symbols, 'must be at least 2')
    rule = 'must be above 0 and below 1'
    require(0 < self.matches < 1, 'matches', self.matches, rule)

  @property
  def vocab(self) -> int:
    return self.symbols

  @property
  def output_spec(self) -> Tokens:
    return Tokens(2)

  @property
  def labels(self) -> int:
    return self.length - self.n

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    yes, no = self.matches, 1 - self.matches
    entropy = -yes * math.log(yes) - no * math.log(no)
    return {
      'loss': {'without memory': entropy},
      'accuracy': {'without memory': max(yes, no)},
      'exact_match': {'without memory': max(yes, no) ** (self.length - self.n)},
    }

  def example(self, key: RowKey) -> Example:
    of_first, of_match, of_other = jax.random.split(key, 3)
    first = jax.random.randint(of_first, (self.n,), 0, self.symbols)
    later = (self.length - self.n,)
    match = jax.random.bernoulli(of_match, self.matches, later)
    other = jax.random.randint(of_other, later, 1, self.symbols)
    # Symbols n steps apart differ by a step around the circle of all symbols.
    steps_T = jnp.concatenate([first, jnp.where(match, 0, other)])
    turns = -(-self.length // self.n)
    padded = jnp.pad(steps_T, (0, turns * self.n - self.length))
    sums = jnp.cumsum(padded.reshape(turns, self.n), axis=0) % self.symbols
    symbols_T = sums.reshape(-1)[: self.length]
    labelled_T = jnp.arange(self.length) >= self.n
    return Example(
      symbols_T,
      (labelled_T & (steps_T == 0)).astype(jnp.int32),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, self.n, 0),
    )
