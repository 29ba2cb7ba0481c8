"""Even pairs: is the number of 01s and 10s of a binary string odd?

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L fair bits; the answer is the number of neighbours that differ,
modulo 2, which is 1 exactly if the first bit differs from the last. A string of
one bit has no neighbours. Rows and lengths are those of `episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/2. Always answering 0 scores
1/2, and 1 if L is 1.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax

from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvenPairs(SequenceTask):
  """Changes to count modulo 2. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 2

  @property
  def answers(self) -> int:
    return 2

  def example(self, key: RowKey) -> Example:
    of_length, of_bits = jax.random.split(key)
    length = self.draw_length(of_length)
    bits_S = self.string(of_bits, 2)
    differs = bits_S[0] ^ bits_S[length - 1]
    return self.row(bits_S, length, differs[None])
