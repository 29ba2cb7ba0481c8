"""Counters: continue a^n b^n c^n, whose letters are all equally many.

Paper: Weiss et al. 2018, On the Practical Computational Power of Finite
Precision RNNs, https://arxiv.org/abs/1805.04908; Gers & Schmidhuber 2001,
https://doi.org/10.1109/72.963769.
Specification: k letters; n uniform in shortest..longest. A row is n times the
first letter, n times the second and so on, then the end k, which also pads.
With 2 letters the language is context-free, with 3 or more it is not.
Labels: from the first second letter on, every next token is determined: it is
the label, the end included. Their sequence length is n.
Metrics: `loss`, nats per label; `accuracy` over labels; `switches`, the
accuracy of the labels at which a letter changes; `exact_match`, the share of
rows with every label right. Repeating the letter is right but at switches.
Deviations: papers also count how many rows are accepted; here that is
`exact_match`, with the right letters given.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered, predicts
from memjax.tasks.draws import between
from memjax.types import Batch, Example, Metric, Metrics, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counters(TokenTask):
  """Blocks of letters of equal length.

  Attributes:
    letters: k.
    shortest: the smallest n.
    longest: the largest n.
  """

  letters: int = 3
  shortest: int = 1
  longest: int = 40
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')
    require(self.letters >= 2, 'letters', self.letters, 'must be at least 2')

  @property
  def vocab(self) -> int:
    return self.letters + 1

  @property
  def length(self) -> int:
    return self.letters * self.longest

  @property
  def labels(self) -> int:
    return (self.letters - 1) * self.longest

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    mean = (self.shortest + self.longest) / 2
    return {
      'accuracy': {'the same letter': 1 - 1 / mean},
      'switches': {'the same letter': 0.0},
    }

  def example(self, key: RowKey) -> Example:
    n = between(key, self.shortest, self.longest)
    step_T = jnp.arange(self.length)
    labelled_T = (step_T >= n) & (step_T < self.letters * n)
    next_T = jnp.minimum((step_T + 1) // n, self.letters)
    return Example(
      jnp.minimum(step_T // n, self.letters),
      jnp.where(labelled_T, next_T, 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, n, 0),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    switches_BT = (batch.loss_weights_BT > 0) & (batch.inputs != batch.targets)
    right_BT = switches_BT & predicts(y, batch.targets)
    switches = Metric(
      right_BT.sum(dtype=jnp.float32), switches_BT.sum(dtype=jnp.float32)
    )
    return super().measure(y, batch) | {'switches': switches}
