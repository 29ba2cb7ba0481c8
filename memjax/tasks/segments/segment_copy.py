"""Segment-wise copy: a sequence in some segments, said twice in later ones.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code.
Specification: N symbols, uniform among 10, 2..11; the start token 1; then the
answer but for its last symbol, as a language model reads what it says. The
answer is the sequence twice: 3N steps. They are read in n segments; blanks, 0,
fill the last, so that the row divides into n segments of equal length.
Labels: the 2N symbols of the answer, from the start token on; the distance is
that to the symbol's last coming, N steps in the first half and N - 1 in the
second.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/10.
Deviations: the paper's accuracy is that of models that read their own answers;
here they read the right ones, in training and evaluation. The blanks are ours:
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
  """A sequence to say again, for a model that is given a segment at a time.

  Train it with `train.segment_length` set to the task's own.

  Attributes:
    passes: how often a row goes through the sequence, to show and to say it.
    symbols: N.
    alphabet: how many different symbols there are.
    segments: n.
  """

  passes: ClassVar[int]
  symbols: int = 24
  alphabet: int = 10
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
  """A sequence to say twice. Attributes: those of `Recitation`."""

  passes = 3

  def example(self, key: RowKey) -> Example:
    shown = random_symbols(key, self.symbols, self.alphabet)
    distances = jnp.repeat(
      jnp.array([self.symbols, self.symbols - 1]), self.symbols
    )
    return recited(shown, jnp.tile(shown, 2), distances, self.length)


def random_symbols(key: RowKey, count: int, alphabet: int) -> jax.Array:
  return jax.random.randint(key, (count,), FIRST, FIRST + alphabet)


def recited(
  shown: jax.Array, said: jax.Array, distances: jax.Array, length: int
) -> Example:
  """What is shown, the start token, and what is to be said, read while said."""
  start, end = len(shown), len(shown) + len(said)
  row = jnp.concatenate([shown, jnp.array([START]), said[:-1]])
  nothing = jnp.zeros(length, jnp.int32)
  return Example(
    jnp.pad(row, (0, length - len(row)), constant_values=BLANK),
    nothing.at[start:end].set(said),
    jnp.zeros(length).at[start:end].set(1.0),
    nothing.at[start:end].set(distances),
  )
