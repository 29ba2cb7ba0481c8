"""Frequent words: read many words, and name those that came most often.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, its frequent
words extraction.
Specification: words are tokens 0..V-1; V asks, V + 1 pads. Each row has a
vocabulary of its own, W different words in a drawn order, of which the r-th is
drawn with chance proportional to r^-power. A row is N such words, N uniform in
shortest..longest, then K times the token that asks, then padding.
Labels: where asked, the word that came most often, then the second, and so on
to the K-th; of words that came as often, the one that came first goes first. If
fewer than K came, the rest is not asked. The length is N.
Metrics: `loss`, nats per word; `accuracy` over words; `exact_match`, the share
of rows with every word right. Chance is 1/V.
Deviations: a word is a token, where RULER spells it in six letters; its most
frequent word is a noise that is not asked for; the order counts here and does
not there.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import (
  TokenTask,
  ordered,
  positive,
)
from memjax.tasks.draws import between, distinct
from memjax.types import Example, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrequentWordExtraction(TokenTask):
  """Words to count, and the most frequent ones to name.

  Attributes:
    vocab: V, words there are.
    words: W, words that a row can have.
    shortest: the fewest words of a text.
    longest: the most.
    asked: K.
    power: of Zipf's law; 0 for words all as frequent.
  """

  vocab: int = 256
  words: int = 64
  shortest: int = 64
  longest: int = 256
  asked: int = 3
  power: float = 2.0
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'words', 'asked')
    ordered(self, 'shortest', 'longest')
    rule = f'must be at least words, {self.words}'
    require(self.vocab >= self.words, 'vocab', self.vocab, rule)
    rule = f'must be at most words, {self.words}'
    require(self.asked <= self.words, 'asked', self.asked, rule)
    require(0 <= self.power < math.inf, 'power', self.power, 'must not be < 0')

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab + 2)

  @property
  def length(self) -> int:
    return self.longest + self.asked

  @property
  def labels(self) -> int:
    return self.asked

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.vocab)},
      'accuracy': {'chance': 1 / self.vocab},
    }

  def example(self, key: RowKey) -> Example:
    of_length, of_words, of_ranks = jax.random.split(key, 3)
    count = between(of_length, self.shortest, self.longest)
    words_W = distinct(of_words, self.words, self.vocab)
    chance_W = np.arange(1, self.words + 1) ** -float(self.power)
    below_W = jnp.asarray(np.cumsum(chance_W) / chance_W.sum(), jnp.float32)
    uniform_T = jax.random.uniform(of_ranks, (self.length,))
    rank_T = jnp.searchsorted(below_W[:-1], uniform_T, side='right')
    step_T = jnp.arange(self.length)
    read_T = step_T < count
    times_W = (
      jnp.zeros(self.words, jnp.int32).at[rank_T].add(read_T.astype(jnp.int32))
    )
    # More often first, and then who came first; no two are alike.
    came_W = jnp.full(self.words, self.length).at[rank_T].min(step_T)
    order_W = times_W * (self.length + 1) - came_W
    best_K = jax.lax.top_k(order_W, self.asked)[1]
    place_T = step_T - count
    inside_T = (place_T >= 0) & (place_T < self.asked)
    named_T = best_K.take(place_T, mode='clip')
    asked_T = inside_T & (times_W[named_T] > 0)
    silent_T = jnp.where(inside_T, self.vocab, self.vocab + 1)
    return Example(
      jnp.where(read_T, words_W[rank_T], silent_T),
      jnp.where(asked_T, words_W[named_T], 0),
      asked_T.astype(jnp.float32),
      jnp.where(asked_T, count, 0),
    )
