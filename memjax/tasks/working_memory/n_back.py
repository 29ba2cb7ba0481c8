"""N-back: say at each step whether its symbol is that of n steps before.

Paper: Kirchner 1958, https://doi.org/10.1037/h0043688.
Specification: T symbols of V. The first n are fair draws. Each later one is the
symbol of n steps before with chance `matches`, else one of the other V - 1, all
as likely.
Labels: from step n on, each step: 1 if the two are the same, else 0. Their
distance: n.
Metrics: `loss`, nats per label; `accuracy`; `exact_match`, the share of rows
with every label right.
Baselines: a symbol by itself, and all others but the one n steps before, tell
nothing about a match. So `without memory` says what is more frequent, and its
loss is the entropy of a match.
Deviations: n, the number of symbols and how often they match differ between
experiments with people; here they are fields. No lures are put in on purpose.
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
    n: how far back.
    length: T, steps of a row.
    symbols: V, how many there are.
    matches: the chance of a match.
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
    asked_T = jnp.arange(self.length) >= self.n
    return Example(
      symbols_T,
      (asked_T & (steps_T == 0)).astype(jnp.int32),
      asked_T.astype(jnp.float32),
      jnp.where(asked_T, self.n, 0),
    )
