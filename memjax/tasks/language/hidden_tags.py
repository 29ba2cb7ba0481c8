"""Hidden tags: each word hints at its tag, and its neighbours tell the rest.

What the future is worth is known here: the best predictor that waits k steps
can be computed for every k.

Paper: Rabiner 1989, https://doi.org/10.1109/5.18626, section II: a hidden
Markov model.
Specification: T tags, a Markov chain: the first is uniform over C, each further
one is the last one with probability `stay`, else uniform over the others. A
word is one of the V / C words of its tag with probability `sure`, else one of
all V, each uniform.
Labels: the tag, at every step.
Metrics: `loss`, nats per label; `accuracy` over labels.
Baselines: of the best predictors, by 2,048 rows of a fixed seed: `one word`
knows the step's word alone, `no future` all words up to it, `whole row` all of
them. `best_accuracy(k)` is that of a predictor that waits k steps.
Deviations: the model is given, not estimated.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import GeneratedTask, positive
from memjax.types import Example, RowKey, Tokens

ROWS = 2048  # of the baselines


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiddenTags(GeneratedTask):
  """The hidden tag of each word.

  Attributes:
    length: T.
    tags: C, the classes.
    vocab: V, a multiple of C.
    stay: probability that a tag is followed by itself.
    sure: probability that a word is surely one of its tag.
  """

  length: int = 64
  tags: int = 4
  vocab: int = 16
  stay: float = 0.9
  sure: float = 0.4
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'length')
    require(self.tags > 1, 'tags', self.tags, 'must be at least 2')
    fits = self.vocab > 0 and self.vocab % self.tags == 0
    rule = f'must be a multiple of tags, {self.tags}'
    require(fits, 'vocab', self.vocab, rule)
    for field in ('stay', 'sure'):
      value = getattr(self, field)
      require(0 <= value <= 1, field, value, 'must be in [0, 1]')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.tags)

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @functools.cached_property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'accuracy': {
        'one word': float(self._emissions.max(axis=0).sum() / self.tags),
        'no future': self.best_accuracy(0),
        'whole row': self.best_accuracy(self.length),
      }
    }

  def example(self, key: RowKey) -> Example:
    of_first, of_moves, of_words = jax.random.split(key, 3)
    first = jax.random.randint(of_first, (), 0, self.tags)
    stays, by, sure, own, any_word = self._draws(of_moves, of_words)
    tag_T = (first + jnp.cumsum(jnp.where(stays, 0, by))) % self.tags
    word_T = jnp.where(sure, tag_T * (self.vocab // self.tags) + own, any_word)
    return Example(word_T, tag_T, jnp.ones(self.length))

  def _draws(self, of_moves: RowKey, of_words: RowKey) -> list[jax.Array]:
    """At each step: stays, moves by, is sure, word of its tag, any word."""
    of_stay, of_by = jax.random.split(of_moves)
    of_sure, of_own, of_any = jax.random.split(of_words, 3)
    shape = (self.length,)
    stays_T = jax.random.bernoulli(of_stay, self.stay, shape).at[0].set(True)
    per_tag = self.vocab // self.tags
    return [
      stays_T,
      jax.random.randint(of_by, shape, 1, self.tags),
      jax.random.bernoulli(of_sure, self.sure, shape),
      jax.random.randint(of_own, shape, 0, per_tag),
      jax.random.randint(of_any, shape, 0, self.vocab),
    ]

  def best_accuracy(self, wait: int) -> float:
    """The accuracy of the best predictor that waits this number of steps."""
    tag_RT, word_RT = self._sample
    guess_RT = self.posterior(word_RT, wait).argmax(axis=-1)
    return float((guess_RT == tag_RT).mean())

  def posterior(self, word_RT: np.ndarray, wait: int) -> np.ndarray:
    """`(R, T, C)`, P(tag of step t | words up to t + wait)."""
    seen_RTC = self._emissions.T[word_RT]
    length = word_RT.shape[1]
    past_RTC = np.empty_like(seen_RTC)
    past_RC = np.full(seen_RTC[:, 0].shape, 1 / self.tags)
    for t in range(length):
      past_RC = past_RC @ self._moves if t else past_RC
      past_RC = past_RC * seen_RTC[:, t]
      past_RC /= past_RC.sum(axis=-1, keepdims=True)
      past_RTC[:, t] = past_RC
    # What j further words say of a step is one product more than j - 1 say.
    ahead_RTC = np.ones_like(seen_RTC)
    for _ in range(min(wait, length - 1)):
      told_RTC = (seen_RTC * ahead_RTC)[:, 1:] @ self._moves.T
      told_RTC /= told_RTC.sum(axis=-1, keepdims=True)
      ahead_RTC[:, :-1] = told_RTC
    both_RTC = past_RTC * ahead_RTC
    return both_RTC / both_RTC.sum(axis=-1, keepdims=True)

  @property
  def _moves(self) -> np.ndarray:
    """`(C, C)`, P(next tag | tag)."""
    other = (1 - self.stay) / (self.tags - 1)
    return np.where(np.eye(self.tags, dtype=bool), self.stay, other)

  @property
  def _emissions(self) -> np.ndarray:
    """`(C, V)`, P(word | tag)."""
    own_CV = np.repeat(np.eye(self.tags), self.vocab // self.tags, axis=1)
    per_tag = self.vocab // self.tags
    return self.sure * own_CV / per_tag + (1 - self.sure) / self.vocab

  @functools.cached_property
  def _sample(self) -> tuple[np.ndarray, np.ndarray]:
    """Tags and words of ROWS rows, by numpy."""
    rng = np.random.Generator(np.random.PCG64(0))
    shape = ROWS, self.length
    stays = rng.random(shape) < self.stay
    by = np.where(stays, 0, rng.integers(1, self.tags, shape))
    by[:, 0] = rng.integers(0, self.tags, ROWS)
    tag_RT = np.cumsum(by, axis=1) % self.tags
    own = rng.integers(0, self.vocab // self.tags, shape)
    own += tag_RT * (self.vocab // self.tags)
    anything = rng.integers(0, self.vocab, shape)
    return tag_RT, np.where(rng.random(shape) < self.sure, own, anything)
