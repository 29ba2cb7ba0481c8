"""Dyck-(k, m): predict the next symbol of well-nested brackets.

Paper: Hewitt et al. 2020, https://arxiv.org/abs/2010.07515; details as in its
code, https://github.com/john-hewitt/dyckkm-learning.
Specification: k types of brackets, at most m open at once. Symbols are drawn up
to an end symbol. If no bracket is open, the end has probability 1/2; else a
bracket opens. If m are open, the last one closes. With fewer, opening and
closing are equally likely. The type of an opening bracket is uniform. A string
does not end before `shortest` brackets, and strings of more than `longest`
symbols, including the end symbol, are rejected. Tokens: 0..k-1 open, k..2k-1
close, 2k the start, which is read first, 2k+1 the end, which also pads the row;
T is `longest`.
Labels: every symbol, at the position of the symbol before it. The distance of a
closing bracket is the number of steps back to its opening bracket, 1 if they
are neighbours; other symbols have no distance.
Metrics: `loss`, nats per symbol, and `accuracy`. `closing`: the share of
closing brackets for which the right one is the most likely of the k; chance is
1/k. `closing_sure`: the share for which it has more than 0.8 of the probability
of all k, the paper's measure.
Baselines: `optimal` is the loss of a model that knows the distribution of
strings: the entropy of a string divided by its expected length.
Deviations: no string is rejected. Symbols are drawn with the probabilities that
they have in strings of at most `longest` symbols, which is the same
distribution. The paper measures the right bracket at every position where one
may close, and all distances have the same weight in its figures; here a
distance has the weight of its frequency.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import (
  GeneratedTask,
  classification,
  positive,
  predicts,
)
from memjax.types import Batch, Example, Metric, Metrics, RowKey, Tokens

SURE = 0.8
ENDED = -1


class Open(NamedTuple):
  """The open brackets: their number or ENDED, their types and steps."""

  depth: jax.Array
  types_M: jax.Array
  steps_M: jax.Array


class Now(NamedTuple):
  """Inputs of one step of the draw."""

  step: jax.Array
  choice: jax.Array
  new: jax.Array
  opens_M: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dyck(GeneratedTask):
  """Strings of nested brackets.

  Attributes:
    types: k, number of bracket types.
    depth: m, the most brackets open at once.
    shortest: brackets before the string may end.
    longest: symbols of the longest string, including the end.
  """

  types: int = 8
  depth: int = 5
  shortest: int = 1
  longest: int = 180
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'types', 'depth', 'shortest')
    least = self.shortest + self.shortest % 2 + 1
    rule = f'must be at least {least}: {least - 1} brackets and the end'
    require(self.longest >= least, 'longest', self.longest, rule)

  @property
  def input_spec(self) -> Tokens:
    return Tokens(2 * self.types + 2)

  output_spec = input_spec

  @property
  def length(self) -> int:
    return self.longest

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    nats, symbols = 0.0, 0.0
    at_M = np.eye(self.depth + 2)[0]  # P(m open); the last entry stays 0
    for opens_M in opening(self.depth, self.shortest, self.longest):
      p_M = np.clip(opens_M, 1e-300, 1 - 1e-16)
      choice_M = -p_M * np.log(p_M) - (1 - p_M) * np.log(1 - p_M)
      nats += at_M[:-1] @ (choice_M + opens_M * math.log(self.types))
      symbols += at_M[:-1].sum()
      up_M, down_M = at_M[:-1] * opens_M, at_M[:-1] * (1 - opens_M)
      at_M = np.pad(up_M[:-1], (1, 1)) + np.pad(down_M[1:], (0, 2))
    return {
      'loss': {'optimal': float(nats / symbols)},
      'closing': {'chance': 1 / self.types},
    }

  def example(self, key: RowKey) -> Example:
    of_choice, of_type = jax.random.split(key)
    end = 2 * self.types + 1
    opens_TM = jnp.asarray(
      opening(self.depth, self.shortest, self.longest), jnp.float32
    )
    choice_T = jax.random.uniform(of_choice, (self.longest,))
    type_T = jax.random.randint(of_type, (self.longest,), 0, self.types)
    place_M = jnp.arange(self.depth)

    def draw(open_now: Open, now: Now) -> tuple[Open, tuple[jax.Array, ...]]:
      count, types_M, steps_M = open_now
      step, choice, new, opens_M = now
      opened = (count >= 0) & (choice < opens_M[count])
      closed = (count > 0) & ~opened
      top = place_M == count - 1
      symbol = jnp.where(
        closed, self.types + jnp.where(top, types_M, 0).sum(), end
      )
      distance = jnp.where(closed, step - jnp.where(top, steps_M, 0).sum(), 0)
      pushed = opened & (place_M == count)
      types_M = jnp.where(pushed, new, types_M)
      steps_M = jnp.where(pushed, step, steps_M)
      left = jnp.where(count > 0, count - 1, ENDED)
      count = jnp.where(opened, count + 1, left)
      symbol = jnp.where(opened, new, symbol)
      return Open(count, types_M, steps_M), (symbol, distance)

    nothing = jnp.zeros(self.depth, jnp.int32)
    _, (symbols_T, distance_T) = jax.lax.scan(
      draw,
      Open(jnp.zeros((), jnp.int32), nothing, nothing),
      Now(jnp.arange(self.longest), choice_T, type_T, opens_TM),
    )
    inputs = jnp.roll(symbols_T, 1).at[0].set(2 * self.types)
    labelled_T = inputs != end
    targets = jnp.where(labelled_T, symbols_T, 0)
    return Example(inputs, targets, labelled_T.astype(jnp.float32), distance_T)

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    closes = slice(self.types, 2 * self.types)
    right = batch.targets - self.types
    closing_BT = (
      (right >= 0) & (right < self.types) & (batch.loss_weights_BT > 0)
    )
    right = jnp.where(closing_BT, right, 0)
    closing_BTK = jax.nn.softmax(y[..., closes].astype(jnp.float32))
    share_BT = jnp.take_along_axis(closing_BTK, right[..., None], -1)[..., 0]
    right_BT = predicts(closing_BTK, right)
    count = closing_BT.sum(dtype=jnp.float32)
    most_likely = (closing_BT & right_BT).sum(dtype=jnp.float32)
    sure = (closing_BT & (share_BT > SURE)).sum(dtype=jnp.float32)
    return classification(y, batch) | {
      'closing': Metric(most_likely, count),
      'closing_sure': Metric(sure, count),
    }


@functools.cache
def opening(depth: int, shortest: int, longest: int) -> np.ndarray:
  """`(T, M)` P(a bracket opens) after t brackets, m of them open.

  The probability is conditioned on an end within `longest` symbols. If no
  bracket opens, the last open one closes, or the string ends.
  """
  ends_in_time = np.zeros((longest + 1, depth + 1))
  opens = np.zeros((longest, depth + 1))
  for t in reversed(range(longest)):
    later = ends_in_time[t + 1]
    free = np.full(depth + 1, 0.5)  # P(opens), without a limit
    free[-1] = 0.0
    if t < shortest:
      free[0] = 1.0
    up = free * np.append(later[1:], 0.0)
    down = (1 - free) * np.append(1.0, later[:-1])
    ends_in_time[t] = up + down
    np.divide(up, up + down, out=opens[t], where=up + down > 0)
  return opens
