"""Selective copy: symbols among blanks; repeat the symbols in order.

Paper: Gu & Dao 2023, Mamba, https://arxiv.org/abs/2312.00752, section 4.1; the
layout is that of Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and
its code, whose sixth task this is.
Specification: k symbols, uniform in 0..V-3, in order, and T - 2k - 1 blanks,
V - 2, each placed before a uniformly drawn symbol; then the copy token V - 1
and k blanks.
Labels: the k symbols in order, at the last k positions. The distance is the
number of steps back to the symbol.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/(V - 2).
Deviations: none from MAD's code, in which the last symbol stands right before
the copy token. Mamba's code differs: the positions of the symbols are a uniform
choice of k among the first T - k, symbols are 1..V-2, the blank is 0, and the
copy token stands at each of the last k positions, where the labels are.
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
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectiveCopy(TokenTask):
  """Symbols to remember and blanks to ignore.

  Attributes:
    length: T, at least 2k + 1.
    vocab: V, including the blank and the copy token.
    symbols: k, number of symbols to copy.
  """

  length: int = 256
  vocab: int = 16
  symbols: int = 16
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'symbols')
    at_least = 2 * self.symbols + 1
    rule = f'must be at least 2 x symbols + 1, {at_least}'
    require(self.length >= at_least, 'length', self.length, rule)
    require(self.vocab >= 4, 'vocab', self.vocab, 'must be at least 4')

  @property
  def labels(self) -> int:
    return self.symbols

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    choices = self.vocab - 2
    return {
      'loss': {'any symbol': math.log(choices)},
      'accuracy': {'any symbol': 1 / choices},
      'exact_match': {'any symbol': choices**-self.symbols},
    }

  def example(self, key: RowKey) -> Example:
    of_symbols, of_blanks = jax.random.split(key)
    blank, copy = self.vocab - 2, self.vocab - 1
    numbers = jnp.arange(self.symbols)
    symbols = jax.random.randint(of_symbols, numbers.shape, 0, blank)
    blanks = (self.length - 2 * self.symbols - 1,)
    before = jax.random.randint(of_blanks, blanks, 0, self.symbols)
    places = numbers + (before[None] <= numbers[:, None]).sum(axis=1)
    answers = self.length - self.symbols + numbers
    inputs = jnp.full(self.length, blank, jnp.int32)
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      inputs.at[places].set(symbols).at[answers[0] - 1].set(copy),
      nothing.at[answers].set(symbols),
      jnp.zeros(self.length).at[answers].set(1.0),
      nothing.at[answers].set(answers - places),
    )
