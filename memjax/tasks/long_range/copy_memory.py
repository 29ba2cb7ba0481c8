"""Copy memory: ten symbols, a long delay, then repeat them.

Paper: Hochreiter & Schmidhuber 1997; as in Arjovsky et al. 2016,
https://arxiv.org/abs/1511.06464, and Bai et al. 2018 (TCN),
https://arxiv.org/abs/1803.01271.
Specification: vocabulary 10, 0 blank, 1-8 data, 9 marker. Inputs: 10 symbols,
T - 1 blanks, the marker 11 times, T + 20 in total; the first marker signals the
start of the answer. Targets: T + 10 blanks, then the 10 symbols.
Labels: every position. The symbols have the distance T + 10, blanks none.
Metrics: `loss`, nats per position; a model without memory scores
10 ln 8 / (T + 20). `accuracy` over all positions, blanks included. `recall`,
accuracy on the 10 symbols; chance is 1/8.
Deviations: none.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.tasks.base import GeneratedTask, classification, positive
from memjax.types import Batch, Example, Metrics, RowKey, Tokens

SYMBOLS = 10
BLANK, MARKER = 0, 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class CopyMemory(GeneratedTask):
  """Ten symbols to keep over `delay` steps.

  Attributes:
    delay: the paper's T.
  """

  delay: int = 100
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'delay')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(10)

  output_spec = input_spec

  @property
  def length(self) -> int:
    return self.delay + 2 * SYMBOLS

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    memoryless = SYMBOLS * math.log(8) / self.length
    return {'loss': {'memoryless': memoryless}, 'recall': {'chance': 1 / 8}}

  def example(self, key: RowKey) -> Example:
    data = jax.random.randint(key, (SYMBOLS,), 1, 9, jnp.int32)
    blanks = jnp.full((self.delay - 1,), BLANK, jnp.int32)
    markers = jnp.full((SYMBOLS + 1,), MARKER, jnp.int32)
    inputs = jnp.concatenate([data, blanks, markers])
    targets = jnp.zeros(self.length, jnp.int32).at[-SYMBOLS:].set(data)
    distance_T = jnp.where(targets == BLANK, 0, self.delay + SYMBOLS)
    return Example(inputs, targets, jnp.ones(self.length), distance_T)

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    weights_BT = jnp.where(batch.targets > BLANK, batch.loss_weights_BT, 0.0)
    symbols = batch._replace(loss_weights_BT=weights_BT)
    recall = classification(y, symbols)['accuracy']
    return classification(y, batch) | {'recall': recall}
