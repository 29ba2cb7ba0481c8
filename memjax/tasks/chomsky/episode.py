"""What the Chomsky-hierarchy tasks share: lengths, rows and measures.

Paper: Deletang et al. 2022, Neural Networks and the Chomsky Hierarchy,
https://arxiv.org/abs/2207.02098; details as in its code,
google-deepmind/neural_networks_chomsky_hierarchy.
Specification: a row is L symbols, L uniform in shortest..longest (the paper
trains on 1..40 and tests on 41..500); then the marker, which starts the answer;
then blanks, up to the length of the longest row. The vocabulary is the task's
symbols, the marker and the blank.
Labels: the i-th symbol of the answer at the i-th position from the marker on;
the first stands at the marker itself. Their sequence length is L. In the paper
a model reads the sequence, and then one step per symbol of the answer, all with
one token that the sequence never contains. Its outputs at those steps are the
answer. Here the first of those tokens is the marker and the others are blanks.
Metrics: `loss`, nats per label; `score`, the paper's measure: the share of a
row's labels that are right, averaged over rows, so that every length has the
same weight; `accuracy` over labels, so that long answers weigh more;
`exact_match`, the share of rows with every label right; `score_by_length`, the
measure of the paper's code: the share of labels that are right among the rows
of one length, averaged over the lengths that occurred. It is an estimate of the
same number as `score` wherever all answers of one length have the same number
of labels: everywhere but in the tasks whose answers end with a terminator.
`scaled_accuracy` is (accuracy - chance) / (1 - chance), the measure of Beck et
al. 2024, xLSTM, https://arxiv.org/abs/2405.04517, and of Grazzi et al. 2024,
https://arxiv.org/abs/2411.12537.
Deviations: the paper draws one length for a batch and averages the loss over
that batch, so that every length has the same weight; here every row draws its
own length and every label has the same weight. If an answer ends with a
terminator, the paper pads it with zeros, which count in its loss and not in its
accuracy; here they count in neither.
"""

import abc
import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  GeneratedTask,
  classification,
  exact_match,
  ordered,
  predicts,
)
from memjax.tasks.draws import between
from memjax.types import Batch, Example, Metric, Metrics, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceTask(GeneratedTask):
  """A sequence to read, then an answer.

  Attributes:
    shortest: the fewest symbols of a sequence.
    longest: the most symbols of a sequence.
  """

  shortest: int = 1
  longest: int = 40
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')

  @property
  @abc.abstractmethod
  def alphabet(self) -> int:
    """Number of symbols that sequences consist of."""

  @property
  @abc.abstractmethod
  def answers(self) -> int:
    """Number of symbols that answers consist of."""

  def most(self, length: int) -> int:
    """The most labels that a sequence of this length can have."""
    del length
    return 1

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.alphabet + 2)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.answers)

  @property
  def length(self) -> int:
    return self.longest + self.most(self.longest)

  @property
  def labels(self) -> int:
    return self.most(self.longest)

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """Scores of a random answer symbol."""
    chance = 1 / self.answers
    return {
      'loss': {'chance': math.log(self.answers)},
      'accuracy': {'chance': chance},
      'score': {'chance': chance},
      'score_by_length': {'chance': chance},
    }

  def draw_length(self, key: RowKey) -> jax.Array:
    """L, the length of a row's sequence."""
    return between(key, self.shortest, self.longest)

  def string(self, key: RowKey, symbols: int) -> jax.Array:
    """`(longest,)` uniform symbols of [0, symbols)."""
    return jax.random.randint(key, (self.longest,), 0, symbols)

  def row(
    self,
    symbols_S: jax.Array,
    length: jax.Array,
    answer_A: jax.Array,
    labels: jax.Array | int = 1,
  ) -> Example:
    """The row of the first `length` symbols and `labels` answer symbols."""
    step_T = jnp.arange(self.length)
    shown_T = symbols_S.take(step_T, mode='clip')
    marker, blank = self.alphabet, self.alphabet + 1
    cue_T = jnp.where(step_T == length, marker, blank)
    labelled_T = (step_T >= length) & (step_T < length + labels)
    answer_T = answer_A.take(step_T - length, mode='clip')
    return Example(
      jnp.where(step_T < length, shown_T, cue_T).astype(jnp.int32),
      jnp.where(labelled_T, answer_T, 0).astype(jnp.int32),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, length, 0),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    metrics = classification(y, batch)
    accuracy, chance = metrics['accuracy'], 1 / self.answers
    above_chance = accuracy.sum - chance * accuracy.count
    possible = (1 - chance) * accuracy.count
    return metrics | {
      'score': score(y, batch),
      'score_by_length': score_by_length(y, batch, self.longest),
      'exact_match': exact_match(y, batch),
      'scaled_accuracy': Metric(above_chance, possible),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class StringTask(SequenceTask):
  """A string to read, then an answer of its symbols.

  Attributes:
    symbols: size of the alphabet, of sequences and answers.
    shortest: as in `SequenceTask`.
    longest: as in `SequenceTask`.
  """

  symbols: int = 2

  def __post_init__(self) -> None:
    super().__post_init__()
    require(self.symbols >= 2, 'symbols', self.symbols, 'must be at least 2')

  @property
  def alphabet(self) -> int:
    return self.symbols

  @property
  def answers(self) -> int:
    return self.symbols

  def most(self, length: int) -> int:
    return length


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArithmeticTask(SequenceTask):
  """An expression to read, then its value modulo `modulus`.

  Attributes:
    modulus: digits are 0..modulus - 1.
    shortest: as in `SequenceTask`.
    longest: as in `SequenceTask`.
  """

  modulus: int = 5

  def __post_init__(self) -> None:
    super().__post_init__()
    allowed = 2 <= self.modulus <= 1000
    require(allowed, 'modulus', self.modulus, 'must be in 2..1000')

  @property
  def answers(self) -> int:
    return self.modulus


def score(logits_BTV: jax.Array, batch: Batch) -> Metric:
  """The mean over rows with labels of the share of labels that are right."""
  labelled_BT = batch.loss_weights_BT > 0
  right_BT = labelled_BT & predicts(logits_BTV, batch.targets)
  labels_B = labelled_BT.sum(axis=1, dtype=jnp.float32)
  share_B = right_BT.sum(axis=1, dtype=jnp.float32) / jnp.maximum(labels_B, 1)
  return Metric(share_B.sum(), (labels_B > 0).sum(dtype=jnp.float32))


def score_by_length(
  logits_BTV: jax.Array, batch: Batch, longest: int
) -> Metric:
  """The mean over lengths of the share of labels that are right."""
  labelled_BT = batch.loss_weights_BT > 0
  right_BT = labelled_BT & predicts(logits_BTV, batch.targets)
  length_B = jnp.asarray(batch.score_axis_BT).max(axis=1)

  def by_length(chosen_BT: jax.Array) -> jax.Array:
    number_B = chosen_BT.sum(axis=1, dtype=jnp.float32)
    return jnp.zeros(longest + 1).at[length_B].add(number_B)

  return Metric(by_length(right_BT), by_length(labelled_BT), 'groups')
