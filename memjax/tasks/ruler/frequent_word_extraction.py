"""Frequent word extraction: answer the most frequent words of a list.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, its frequent
words extraction.
Specification: words are tokens 0..V-1; V is the query, V + 1 padding. Each row
has its own vocabulary, W different words in random order; the r-th is drawn
with probability proportional to r^-power. A row is N such words, N uniform in
shortest..longest, then K queries, then padding.
Labels: at the queries, the most frequent word, then the second, and so on up to
the K-th. Words of equal frequency are ordered by their first appearance. If
fewer than K words appear, the other queries have no label. The sequence length
is N.
Metrics: `loss`, nats per word; `accuracy` over words; `exact_match`, the share
of rows with every word right. Chance is 1/V.
Deviations: a word is a token; RULER spells it in six letters. Its most frequent
word is a noise token and not a label. The order of the answer matters here, and
not in RULER.
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
  """Words to count; the most frequent ones are the answer.

  Attributes:
    vocab: V, number of words.
    words: W, number of different words that a row can have.
    shortest: the fewest words of a row.
    longest: the most words of a row.
    queries: K, number of most frequent words to answer.
    power: exponent of Zipf's law; 0: all words are equally frequent.
  """

  vocab: int = 256
  words: int = 64
  shortest: int = 64
  longest: int = 256
  queries: int = 3
  power: float = 2.0
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'words', 'queries')
    ordered(self, 'shortest', 'longest')
    rule = f'must be at least words, {self.words}'
    require(self.vocab >= self.words, 'vocab', self.vocab, rule)
    rule = f'must be at most words, {self.words}'
    require(self.queries <= self.words, 'queries', self.queries, rule)
    rule = 'must be at least 0'
    require(0 <= self.power < math.inf, 'power', self.power, rule)

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab + 2)

  @property
  def length(self) -> int:
    return self.longest + self.queries

  @property
  def labels(self) -> int:
    return self.queries

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
    weight_W = np.arange(1, self.words + 1) ** -float(self.power)
    below_W = jnp.asarray(np.cumsum(weight_W) / weight_W.sum(), jnp.float32)
    uniform_T = jax.random.uniform(of_ranks, (self.length,))
    rank_T = jnp.searchsorted(below_W[:-1], uniform_T, side='right')
    step_T = jnp.arange(self.length)
    read_T = step_T < count
    times_W = (
      jnp.zeros(self.words, jnp.int32).at[rank_T].add(read_T.astype(jnp.int32))
    )
    # By frequency, then by first appearance; no two are equal.
    first_W = jnp.full(self.words, self.length).at[rank_T].min(step_T)
    order_W = times_W * (self.length + 1) - first_W
    best_K = jax.lax.top_k(order_W, self.queries)[1]
    place_T = step_T - count
    inside_T = (place_T >= 0) & (place_T < self.queries)
    ranked_T = best_K.take(place_T, mode='clip')
    labelled_T = inside_T & (times_W[ranked_T] > 0)
    query_T = jnp.where(inside_T, self.vocab, self.vocab + 1)
    return Example(
      jnp.where(read_T, words_W[rank_T], query_T),
      jnp.where(labelled_T, words_W[ranked_T], 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, count, 0),
    )
