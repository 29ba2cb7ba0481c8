"""Segment-wise copy: a sequence to repeat twice in later segments.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code.
Specification: N symbols, uniform among 8, 2..9; the start token 1; then the
answer without its last symbol, as a language model reads its own output. The
answer is the sequence twice: 3N steps. They are read in n segments. Blanks, 0,
pad the last segment, so that all segments have the same length.
Labels: the 2N symbols of the answer, from the start token on. The distance is
the number of steps back to the symbol's last appearance: N in the first half,
N - 1 in the second.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/8.
Deviations: in the paper, models read their own answers in evaluation; here they
read the correct ones, in training and evaluation. The number of symbols is that
of the code's notebook; the paper's accuracy without memory, .102, fits 10:
`alphabet=10`. The blanks are an addition:
24 symbols need none in 3, 6 or 9 segments.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from memjax.tasks.base import (
  TokenTask,
  positive,
)
from memjax.types import Example, RowKey

BLANK, START, FIRST = 0, 1, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recitation(TokenTask):
  """A sequence to repeat, for a model that reads segment by segment.

  Train with `train.segment_length` equal to the task's `segment_length`.

  Attributes:
    passes: number of times a row contains the sequence, as input or answer.
    symbols: N, length of the sequence.
    alphabet: number of different symbols.
    segments: n, number of segments.
  """

  passes: ClassVar[int]
  symbols: int = 24
  alphabet: int = 8
  segments: int = 6
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'symbols', 'alphabet', 'segments')

  @property
  def vocab(self) -> int:
    return FIRST + self.alphabet

  @property
  def segment_length(self) -> int:
    """Steps of a segment."""
    return -(-self.passes * self.symbols // self.segments)

  @property
  def length(self) -> int:
    return self.segments * self.segment_length

  @property
  def labels(self) -> int:
    return (self.passes - 1) * self.symbols

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'any symbol': math.log(self.alphabet)},
      'accuracy': {'any symbol': 1 / self.alphabet},
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentCopy(Recitation):
  """A sequence to repeat twice. Attributes: those of `Recitation`."""

  passes = 3

  def example(self, key: RowKey) -> Example:
    shown = random_symbols(key, self.symbols, self.alphabet)
    distances = jnp.repeat(
      jnp.array([self.symbols, self.symbols - 1]), self.symbols
    )
    return recited(shown, jnp.tile(shown, 2), distances, self.length)


def random_symbols(key: RowKey, count: int, alphabet: int) -> jax.Array:
  """`(count,)` uniform symbols."""
  return jax.random.randint(key, (count,), FIRST, FIRST + alphabet)


def recited(
  shown: jax.Array, answer: jax.Array, distances: jax.Array, length: int
) -> Example:
  """The row of a shown sequence, the start token and the answer."""
  start, end = len(shown), len(shown) + len(answer)
  row = jnp.concatenate([shown, jnp.array([START]), answer[:-1]])
  nothing = jnp.zeros(length, jnp.int32)
  return Example(
    jnp.pad(row, (0, length - len(row)), constant_values=BLANK),
    nothing.at[start:end].set(answer),
    jnp.zeros(length).at[start:end].set(1.0),
    nothing.at[start:end].set(distances),
  )
