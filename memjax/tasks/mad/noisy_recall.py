"""Noisy recall: in-context recall among pairs of noise.

Paper: Poli et al. 2024, MAD, https://arxiv.org/abs/2403.17844, and its code.
Specification: of the V tokens the last N are noise; the others are keys, the
first half, and values. Rows are those of in-context recall, T/2 pairs of key
and value, except that each pair but the last is, with chance p, two tokens of
noise instead, all alike. One pair at random never is, so that there is a key to
ask for at the end.
Labels: the value of a key that came before, at the key's position; the distance
is that to its value's last coming. The last pair always has one.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right.
Deviations: those of in-context recall. The pair that is never noise may be the
last in the code, which then fails on a row of nothing but noise; here it is one
of the others.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  TokenTask,
  positive,
)
from memjax.tasks.mad.in_context_recall import any_of, even, one_of, recall
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoisyRecall(TokenTask):
  """The values of keys that came before, and noise to ignore.

  Attributes:
    length: T, even.
    vocab: V, the tokens of noise among them.
    noise_vocab: N.
    noise: p, the chance that a pair is noise.
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
    return any_of(tokens - tokens // 2)

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
    # No pair of noise is like another: it has an id of its own.
    id_P = jnp.where(is_noise_P, keys + jnp.arange(pairs), key_P)
    id_P = id_P.at[-1].set(one_of(of_last, id_P[:-1], keys))
    values_K = jax.random.randint(of_values, (keys,), keys, first_noise)
    said_P2 = jnp.stack([id_P, values_K[id_P]], axis=-1)
    noise_P2 = jax.random.randint(of_noise, (pairs, 2), first_noise, self.vocab)
    return recall(id_P, jnp.where(is_noise_P[:, None], noise_P2, said_P2))
