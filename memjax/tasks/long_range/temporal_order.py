"""Temporal order: recall the order of two or three distant symbols.

Paper: Hochreiter & Schmidhuber 1997, Long short-term memory,
https://doi.org/10.1162/neco.1997.9.8.1735, experiments 6a and 6b.
Specification: a row begins with E and ends with B; its length is uniform in
100..110. Between them are uniform distractors a, b, c, d, except at two
positions that hold X or Y with equal probability: t1 uniform in 10..20 and t2
in 50..60 (6a); or at three, in 10..20, 33..43 and 66..76 (6b). Positions count
from 0, the E. Tokens: 0 blank, which pads a row to 110 steps after the B, 1 E,
2 B, 3..6 a to d, 7 X, 8 Y.
Labels: the order, one of 4 (6b: 8) classes, at the B: XX, XY, YX, YY are 0..3;
XXX, XXY and so on are 0..7. The distance is the number of steps back to the
first of the symbols.
Metrics: `loss`, nats per label; `accuracy`. Chance is ln 4 (6b: ln 8) and 1/4
(6b: 1/8).
Deviations: the loss is cross-entropy; in the paper it is the squared error of
sigmoid outputs. The paper does not say whether its positions count from 0 or 1.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import GeneratedTask
from memjax.tasks.draws import between
from memjax.types import Example, RowKey, Tokens

BLANK, BEGIN, END, DISTRACTOR, X = 0, 1, 2, 3, 7
SHORTEST, LONGEST = 100, 110
EARLIEST = {2: (10, 50), 3: (10, 33, 66)}  # symbols: where each may first stand
CHOICES = 11  # of places for a symbol


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemporalOrder(GeneratedTask):
  """The order of X and Y among distractors.

  Attributes:
    symbols: 2, experiment 6a, or 3, experiment 6b.
  """

  symbols: int = 2
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    known = self.symbols in EARLIEST
    require(known, 'symbols', self.symbols, 'must be 2 or 3')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(X + 2)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(2**self.symbols)

  @property
  def length(self) -> int:
    return LONGEST

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    orders = 2**self.symbols
    return {
      'loss': {'chance': math.log(orders)},
      'accuracy': {'chance': 1 / orders},
    }

  def example(self, key: RowKey) -> Example:
    of_length, of_places, of_symbols, of_others = jax.random.split(key, 4)
    end = between(of_length, SHORTEST, LONGEST) - 1
    earliest = jnp.array(EARLIEST[self.symbols])
    places = earliest + jax.random.randint(
      of_places, earliest.shape, 0, CHOICES
    )
    symbols = jax.random.randint(of_symbols, earliest.shape, 0, 2)
    tokens = jax.random.randint(of_others, (LONGEST,), DISTRACTOR, X)
    row = tokens.at[0].set(BEGIN).at[places].set(X + symbols).at[end].set(END)
    digits = 2 ** jnp.arange(self.symbols)[::-1]
    nothing = jnp.zeros(LONGEST, jnp.int32)
    return Example(
      jnp.where(jnp.arange(LONGEST) > end, BLANK, row),
      nothing.at[end].set((symbols * digits).sum()),
      jnp.zeros(LONGEST).at[end].set(1.0),
      nothing.at[end].set(end - places[0]),
    )
