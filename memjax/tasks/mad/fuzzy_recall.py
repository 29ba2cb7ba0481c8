"""Fuzzy recall: in-context recall with keys and values of several tokens.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: the last token, V - 1, is blank. The first half of the others are
key tokens, the rest value tokens. A key has 1..3 different tokens; its length
is uniform, and so are its tokens given the length. A key keeps its value within
a row: 1..3 different tokens, drawn in the same way. Pairs follow one another
while a pair begins before T - S - 6, where S is the length of the last pair.
Then comes the last pair, which repeats one of the others. Blanks fill the front
of the row, so that the last pair ends at T + 1; its last token is cut off.
Labels: every token of the value of a key that appeared before, one position
before the token. The distance is the number of steps back to the same token of
the value's last appearance.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Evaluation: the code evaluates on keys of the greatest length only; the field
`shortest_key` selects this. If keys have several lengths, a row does not show
where a key ends; labels stand only where it does.
Deviations: training counts the labels only; the code trains on every next token
and counts labels in its evaluation. In the code the last pair is drawn first
and placed at a random position, or sometimes not at all, so that its value
cannot be known; here it repeats a uniform choice of the pairs that begin before
T - 12.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered
from memjax.tasks.draws import distinct
from memjax.tasks.mad.in_context_recall import appearances, random_value
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class FuzzyRecall(TokenTask):
  """The values, of several tokens, of keys that appeared before.

  Attributes:
    length: T, more than twice the longest pair.
    vocab: V, including the blank.
    shortest_key: the fewest tokens of a key.
    longest_key: the most tokens of a key.
    longest_value: the most tokens of a value.
  """

  length: int = 128
  vocab: int = 16
  shortest_key: int = 1
  longest_key: int = 3
  longest_value: int = 3
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    ordered(self, 'shortest_key', 'longest_key')
    most = self.longest_value
    require(most >= 1, 'longest_value', most, 'must be at least 1')
    steps = 2 * self._longest + 1
    rule = f'must be at least 2 x (longest_key + longest_value) + 1, {steps}'
    require(self.length >= steps, 'length', self.length, rule)
    keys, values = self._keys, self.vocab - 1 - self._keys
    rule = f'must leave {self.longest_key} tokens for keys, and has {keys}'
    require(keys >= self.longest_key, 'vocab', self.vocab, rule)
    rule = f'must leave {most} tokens for values, and has {values}'
    require(values >= max(most, 2), 'vocab', self.vocab, rule)
    rule = 'allows more keys than 32 bits can number'
    few = (keys + 1) ** self.longest_key < 2**31 - self.length
    require(few, 'longest_key', self.longest_key, rule)

  @property
  def _keys(self) -> int:
    return (self.vocab - 1) // 2

  @property
  def _longest(self) -> int:
    """The most tokens of a pair."""
    return self.longest_key + self.longest_value

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return random_value(self.vocab - 1 - self._keys)

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_last = jax.random.split(key, 3)
    pairs = self.length // (self.shortest_key + 1) + 1
    key_PW, key_P = motifs(
      of_keys, pairs, self._keys, self.shortest_key, self.longest_key
    )
    value_PW, value_P = motifs(
      of_values, pairs, self.vocab - 1 - self._keys, 1, self.longest_value
    )
    digit_W = (self._keys + 1) ** jnp.arange(self.longest_key)
    id_P = ((key_PW + 1) * digit_W[None]).sum(axis=1)
    first_P = appearances(id_P)[0]
    value_PW, value_P = self._keys + value_PW[first_P], value_P[first_P]

    start_P = jnp.cumsum(key_P + value_P) - key_P - value_P
    enough = (start_P < self.length - 2 * self._longest).sum()
    repeated = jax.random.randint(of_last, (), 0, enough)
    size = key_P[repeated] + value_P[repeated]
    last = (start_P < self.length - size - self._longest).sum()
    # The last pair repeats an earlier one. Pairs drawn after it are not shown.
    number_P = jnp.arange(pairs)
    from_P = jnp.where(number_P == last, repeated, number_P)
    id_P = jnp.where(number_P > last, -1 - number_P, id_P[from_P])
    before_P = appearances(id_P)[1]

    start_P += self.length + 1 - start_P[last] - size
    key_P, beyond = key_P[from_P], self.length + 1
    value_start_P = start_P + key_P

    def places(starts_P: jax.Array, count_P: jax.Array, most: int) -> jax.Array:
      """`(P, W)` positions; beyond the row for tokens that are not shown."""
      w = jnp.arange(most)[None]
      shown_PW = (w < count_P[:, None]) & (number_P <= last)[:, None]
      return jnp.where(shown_PW, starts_P[:, None] + w, beyond)

    key_at_PW = places(start_P, key_P, self.longest_key)
    value_at_PW = places(value_start_P, value_P[from_P], self.longest_value)
    label_at_PW = jnp.where(before_P[:, None] >= 0, value_at_PW - 1, beyond)
    distance_P = value_start_P - 1 - value_start_P[before_P]
    row = jnp.full(self.length + 1, self.vocab - 1)
    row = row.at[key_at_PW].set(key_PW[from_P], mode='drop')
    row = row.at[value_at_PW].set(value_PW[from_P], mode='drop')

    def at_labels(x_P: jax.Array) -> jax.Array:
      nothing = jnp.zeros(self.length, x_P.dtype)
      return nothing.at[label_at_PW].set(x_P, mode='drop')

    return Example(
      row[:-1],
      at_labels(value_PW[from_P]),
      at_labels(jnp.ones((pairs, 1))),
      at_labels(distance_P[:, None]),
    )


def motifs(
  key: RowKey, count: int, size: int, shortest: int, longest: int
) -> tuple[jax.Array, jax.Array]:
  """Sequences of different numbers below `size`, and their lengths.

  Returns:
    `(count, longest)`, padded with -1; and `(count,)`, uniform in
    shortest..longest.
  """
  of_lengths, of_tokens = jax.random.split(key)
  length_P = jax.random.randint(of_lengths, (count,), shortest, longest + 1)
  tokens_PW = jax.vmap(lambda one: distinct(one, longest, size))(
    jax.random.split(of_tokens, count)
  )
  inside_PW = jnp.arange(longest)[None] < length_P[:, None]
  return jnp.where(inside_PW, tokens_PW, -1), length_P
