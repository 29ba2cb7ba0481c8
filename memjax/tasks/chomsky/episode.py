"""What the tasks of the Chomsky hierarchy share: lengths, rows and measures.

Paper: Deletang et al. 2022, Neural Networks and the Chomsky Hierarchy,
https://arxiv.org/abs/2207.02098; details as in its code,
google-deepmind/neural_networks_chomsky_hierarchy.
Specification: a row is L symbols, L uniform in shortest..longest (the paper
trains on 1..40 and tests on 41..500); then the marker, which asks for the
answer; then blanks, to the end of the longest row. The vocabulary is the
task's symbols, the marker, the blank.
Labels: the i-th symbol of the answer at the i-th position from the marker on,
so that the first is asked at the marker itself; the length told with each label
is that of the symbols before the marker. In the paper a model reads the
sequence and as many more steps as the answer is long, all with one token that
the sequence never has, and its outputs of those steps are the answer: the same,
but that here the first of those tokens is a marker and the others are blanks.
Metrics: `loss`, nats per label; `accuracy` over labels; `score`, the paper's
measure: the share of a row's labels that are right, averaged over rows, so that
every length counts alike; `exact_match`, the share of rows with every label
right.
Deviations: the paper draws one length for a batch and averages the loss over
that batch, so that every length weighs alike; here every row draws its own and
every label weighs alike. Where an answer ends with a terminator, the paper pads
it with zeros, which its loss counts and its accuracy does not; here neither
does.
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
)
from memjax.tasks.draws import between
from memjax.types import Batch, Example, Metric, Metrics, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceTask(GeneratedTask):
  """A sequence to read, then an answer to say.

  Attributes:
    shortest: the fewest symbols of a sequence.
    longest: the most.
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
    """What naming any answer symbol scores."""
    chance = 1 / self.answers
    return {
      'loss': {'chance': math.log(self.answers)},
      'accuracy': {'chance': chance},
      'score': {'chance': chance},
    }

  def drawn(self, key: RowKey) -> jax.Array:
    """L of a row."""
    return between(key, self.shortest, self.longest)

  def string(self, key: RowKey, symbols: int) -> jax.Array:
    """`(longest,)` symbols of [0, symbols), all as likely."""
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
    asking_T = jnp.where(step_T == length, marker, blank)
    asked_T = (step_T >= length) & (step_T < length + labels)
    answer_T = answer_A.take(step_T - length, mode='clip')
    return Example(
      jnp.where(step_T < length, shown_T, asking_T).astype(jnp.int32),
      jnp.where(asked_T, answer_T, 0).astype(jnp.int32),
      asked_T.astype(jnp.float32),
      jnp.where(asked_T, length, 0),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {
      'score': score(y, batch),
      'exact_match': exact_match(y, batch),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class StringTask(SequenceTask):
  """A string to read, then as many of its symbols to say, or more.

  Attributes:
    symbols: the size of the alphabet, of answers too.
    shortest: as in `SequenceTask`.
    longest: likewise.
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
  """An expression to read, and a number modulo `modulus` to say.

  Attributes:
    modulus: digits are 0..modulus - 1.
    shortest: as in `SequenceTask`.
    longest: likewise.
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
  asked_BT = batch.loss_weights_BT > 0
  right_BT = asked_BT & (jnp.argmax(logits_BTV, -1) == batch.targets)
  asked_B = asked_BT.sum(axis=1, dtype=jnp.float32)
  share_B = right_BT.sum(axis=1, dtype=jnp.float32) / jnp.maximum(asked_B, 1)
  return Metric(share_B.sum(), (asked_B > 0).sum(dtype=jnp.float32))
