"""Noisy recall: in-context recall among pairs of noise.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: the last N of the V tokens are noise; the others are keys, the
first half, and values. Rows are those of in-context recall, T/2 key-value
pairs, except that each pair but the last is replaced, with probability p, by
two uniform noise tokens. One random pair is never replaced, so that the last
pair has a key to repeat.
Labels: the value of a key that appeared before, at the key's position. The
distance is the number of steps back to the value's last appearance. The last
pair always has a label.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Deviations: those of in-context recall. In the code, the pair that is never
noise may be the last one, and the code then fails on a row of noise only; here
it is one of the others.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  TokenTask,
  positive,
)
from memjax.tasks.mad.in_context_recall import (
  even,
  one_of,
  random_value,
  recall,
)
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoisyRecall(TokenTask):
  """The values of keys that appeared before, and noise to ignore.

  Attributes:
    length: T, even.
    vocab: V, including the noise tokens.
    noise_vocab: N, number of noise tokens.
    noise: p, probability that a pair is noise.
  """

  length: int = 128
  vocab: int = 32
  noise_vocab: int = 16
  noise: float = 0.2
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    even(self.length)
    positive(self, 'noise_vocab')
    tokens = self.noise_vocab + 4
    rule = f'must be at least noise_vocab + 4, {tokens}'
    require(self.vocab >= tokens, 'vocab', self.vocab, rule)
    require(0 <= self.noise < 1, 'noise', self.noise, 'must be in [0, 1)')

  @property
  def labels(self) -> int:
    return self.length // 2 - 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    tokens = self.vocab - self.noise_vocab
    return random_value(tokens - tokens // 2)

  def example(self, key: RowKey) -> Example:
    of_keys, of_values, of_last, of_noise, of_pairs, of_spared = (
      jax.random.split(key, 6)
    )
    pairs, first_noise = self.length // 2, self.vocab - self.noise_vocab
    keys = first_noise // 2
    is_noise_P = jax.random.bernoulli(of_pairs, self.noise, (pairs,))
    spared = jax.random.randint(of_spared, (), 0, pairs - 1)
    is_noise_P = is_noise_P.at[spared].set(False).at[-1].set(False)
    key_P = jax.random.randint(of_keys, (pairs,), 0, keys)
    # Every noise pair has its own id, so that no two are equal.
    id_P = jnp.where(is_noise_P, keys + jnp.arange(pairs), key_P)
    id_P = id_P.at[-1].set(one_of(of_last, id_P[:-1], keys))
    values_K = jax.random.randint(of_values, (keys,), keys, first_noise)
    pairs_P2 = jnp.stack([id_P, values_K[id_P]], axis=-1)
    noise_P2 = jax.random.randint(of_noise, (pairs, 2), first_noise, self.vocab)
    return recall(id_P, jnp.where(is_noise_P[:, None], noise_P2, pairs_P2))
