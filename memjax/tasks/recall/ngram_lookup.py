"""N-gram lookup: find a key in a string and continue from there.

Paper: Jelassi et al. 2024, Repeat After Me, https://arxiv.org/abs/2402.01032,
its lookup with the key before the string, or behind it.
Specification: a string of L letters, uniform in 0..V-1, L uniform in
shortest..longest. The key is n letters that stand together in the string, at a
uniform place with k letters behind it. With the key behind, a row is the
string, the token V, the key and k - 1 letters of the answer; with the key
before, the key, the token V, the string, V again and k - 1 letters of the
answer. V + 1 pads the row.
Labels: the k letters that follow the first place where the key stands, each at
the position before it: the last letter of the key, or the last V, and the
answer's letters but the last. The distance is the number of steps back to the
letter in the string.
Metrics: `loss`, nats per letter; `accuracy` over letters; `exact_match`, the
share of rows with every letter right. Chance is 1/V.
Deviations: the sizes are ours. If the string has the key twice, the first one
counts.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered, positive
from memjax.tasks.draws import between
from memjax.types import Example, RowKey

KEYS = ('behind', 'before')


@dataclasses.dataclass(frozen=True, kw_only=True)
class NgramLookup(TokenTask):
  """A string, a key in it, and what follows the key.

  Attributes:
    letters: V.
    shortest: letters of the shortest string.
    longest: letters of the longest string.
    ngram: n, letters of the key.
    answer: k, letters of the answer.
    key: 'behind' the string, which must be kept whole, or 'before' it.
  """

  letters: int = 26
  shortest: int = 10
  longest: int = 50
  ngram: int = 3
  answer: int = 1
  key: str = 'behind'
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'ngram', 'answer')
    ordered(self, 'shortest', 'longest')
    require(self.letters >= 2, 'letters', self.letters, 'must be at least 2')
    least = self.ngram + self.answer
    rule = f'must be at least ngram + answer, {least}'
    require(self.shortest >= least, 'shortest', self.shortest, rule)
    rule = f'must be one of {", ".join(KEYS)}'
    require(self.key in KEYS, 'key', self.key, rule)

  @property
  def vocab(self) -> int:
    return self.letters + 2

  @property
  def length(self) -> int:
    marks = 1 if self.key == 'behind' else 2
    return self.longest + marks + self.ngram + self.answer - 1

  @property
  def labels(self) -> int:
    return self.answer

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.letters)},
      'accuracy': {'chance': 1 / self.letters},
    }

  def example(self, key: RowKey) -> Example:
    of_length, of_string, of_place = jax.random.split(key, 3)
    size = between(of_length, self.shortest, self.longest)
    string_S = jax.random.randint(of_string, (self.longest,), 0, self.letters)
    last = size - self.ngram - self.answer
    place = jax.random.randint(of_place, (), 0, last + 1)
    place_N, place_A = jnp.arange(self.ngram), jnp.arange(self.answer)
    key_N = string_S[place + place_N]
    windows_SN = string_S.take(
      jnp.arange(self.longest)[:, None] + place_N[None], mode='clip'
    )
    found = jnp.argmax(
      (windows_SN == key_N[None]).all(axis=1)
    )  # the first place
    answer_A = string_S[found + self.ngram + place_A]
    behind, mark = self.key == 'behind', jnp.array([self.letters])
    start = 0 if behind else self.ngram + 1  # of the string
    label = start + size + (self.ngram if behind else 0)  # the first one
    pieces: list[tuple[jax.Array | int, jax.Array]]
    pieces = [(start, string_S), (start + size, mark), (label + 1, answer_A)]
    if behind:
      pieces.append((size + 1, key_N))
    else:
      pieces += [(0, key_N), (self.ngram, mark)]
    # Whatever lies beyond a string shorter than the longest is written over.
    row = jnp.full(self.length + self.longest, self.letters + 1)
    for first, piece in pieces:
      row = jax.lax.dynamic_update_slice(row, piece, (first,))
    step_T = jnp.arange(self.length)
    inside_T = step_T < label + self.answer
    labelled_T = (step_T >= label) & inside_T
    nothing = jnp.zeros(self.length, jnp.int32)
    distance = label - (start + found + self.ngram)
    return Example(
      jnp.where(inside_T, row[: self.length], self.letters + 1),
      nothing.at[label + place_A].set(answer_A),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, distance, 0),
    )
