"""Segment-wise reverse: a sequence in some segments, said backwards in others.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code.
Specification: N symbols, uniform among 10, 2..11; the start token 1; then the
answer but for its last symbol, as a language model reads what it says. The
answer is the sequence from its last symbol to its first: 2N steps. They are
read in n segments; blanks, 0, fill the last, so that the row divides into n
segments of equal length.
Labels: the N symbols of the answer, from the start token on; the distance of
the i-th, from 0, is 2i + 1.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/10.
Deviations: the paper's accuracy is that of models that read their own answers;
here they read the right ones, in training and evaluation. The blanks are ours:
24 symbols need none in 3 or 6 segments, and 6 in 9.
"""

import dataclasses

import jax.numpy as jnp

from memjax.tasks.segments.segment_copy import (
  Recitation,
  random_symbols,
  recited,
)
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentReverse(Recitation):
  """A sequence to say backwards. Attributes: those of `Recitation`."""

  passes = 2

  def example(self, key: RowKey) -> Example:
    shown = random_symbols(key, self.symbols, self.alphabet)
    distances = 2 * jnp.arange(self.symbols) + 1
    return recited(shown, shown[::-1], distances, self.length)
