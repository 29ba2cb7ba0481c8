"""Segment-wise reverse: a sequence to reverse in later segments.

Paper: Bulatov et al. 2022, Recurrent Memory Transformer,
https://arxiv.org/abs/2207.06881, section on algorithmic tasks, and its code.
Specification: N symbols, uniform among 8, 2..9; the start token 1; then the
answer without its last symbol, as a language model reads its own output. The
answer is the reversed sequence: 2N steps. They are read in n segments. Blanks,
0, pad the last segment, so that all segments have the same length.
Labels: the N symbols of the answer, from the start token on. The distance of
the i-th, from 0, is 2i + 1.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/8.
Deviations: in the paper, models read their own answers in evaluation; here they
read the correct ones, in training and evaluation. The number of symbols is that
of the code's notebook; the paper's accuracy without memory, .102, fits 10:
`alphabet=10`. The blanks are an addition:
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
  """A sequence to reverse. Attributes: those of `Recitation`."""

  passes = 2

  def example(self, key: RowKey) -> Example:
    shown = random_symbols(key, self.symbols, self.alphabet)
    distances = 2 * jnp.arange(self.symbols) + 1
    return recited(shown, shown[::-1], distances, self.length)
