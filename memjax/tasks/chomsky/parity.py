"""Parity: is the number of ones of a binary string odd?

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: L fair bits; the answer is their sum modulo 2. Rows and lengths
are those of `episode.py`.
Labels: one, at the marker.
Metrics: those of `episode.py`; chance is 1/2.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parity(SequenceTask):
  """Ones to count modulo 2. Attributes: those of `SequenceTask`."""

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
    ones = jnp.where(jnp.arange(self.longest) < length, bits_S, 0).sum()
    return self.row(bits_S, length, ones[None] % 2)
