"""Group words: at every step, the product of all group elements so far.

Paper: Merrill et al. 2024, The Illusion of State in State-Space Models,
https://arxiv.org/abs/2404.08819; lengths as in Siems et al. 2025, DeltaProduct,
https://arxiv.org/abs/2502.10297: trained at 128, tested up to 512.
Specification: T elements of a finite group, uniform. Z60 is the cyclic group of
60 elements, S5 all permutations of five things, A5 the even ones; A4xZ5 is a
direct product. S5 and A5 are not solvable: no constant-depth circuit computes
their words. Element 0 is the identity; permutations are in alphabetical order,
and the left factor of a product acts first.
Labels: the product of the first t + 1 elements, at every step t. The distance
is t, the number of steps back to the first element.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. Chance is 1/n for a group of n elements.
Naming the element just read is right at the first step, and by chance after it.
Deviations: every row is new; the paper's data is a fixed set of words.
"""

import dataclasses
import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError, require
from memjax.tasks.base import TokenTask, positive
from memjax.types import Example, RowKey

LARGEST = 1000  # elements of a group
FORM = 'must be like Z60, S5, A5 or A4xZ5, with at most 1000 elements'


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupWords(TokenTask):
  """Products of random elements of a group.

  Attributes:
    group: Zn, Sn or An, or a product of such groups, as in A4xZ5.
    length: T.
  """

  group: str = 'S3'
  length: int = 128
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'length')
    cayley_table(self.group)

  @property
  def vocab(self) -> int:
    return len(cayley_table(self.group))

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    chance = 1 / self.vocab
    last = (1 + (self.length - 1) * chance) / self.length
    return {
      'loss': {'chance': math.log(self.vocab)},
      'accuracy': {'chance': chance, 'the last element': last},
    }

  def example(self, key: RowKey) -> Example:
    table_VV = jnp.asarray(cayley_table(self.group))
    word_T = jax.random.randint(key, (self.length,), 0, self.vocab)

    def multiply(
      product: jax.Array, element: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
      after = table_VV[product, element]
      return after, after

    identity = jnp.zeros((), jnp.int32)
    _, products_T = jax.lax.scan(multiply, identity, word_T)
    steps_T = jnp.arange(self.length)
    return Example(word_T, products_T, jnp.ones(self.length), steps_T)


@functools.cache
def cayley_table(group: str) -> np.ndarray:
  """`(n, n)` int32, the product of element a and element b at [a, b].

  Raises:
    ConfigError: the name is no group, or the group has too many elements.
  """
  found = [re.fullmatch(r'([ZSA])(\d{1,4})', part) for part in group.split('x')]
  if None in found:
    raise ConfigError('group', group, FORM)
  factors = [(match[1], int(match[2])) for match in found if match]
  order = math.prod(_order(kind, n) for kind, n in factors)
  require(2 <= order <= LARGEST, 'group', group, FORM)
  table = np.zeros((1, 1), np.int32)
  for kind, n in factors:
    other = _cyclic(n) if kind == 'Z' else _permutations(n, even=kind == 'A')
    size = len(other)
    # Element (a, b) of a product has the number a size + b.
    both = table[:, None, :, None] * size + other[None, :, None, :]
    table = both.reshape(len(table) * size, -1)
  return table.astype(np.int32)


def _order(kind: str, n: int) -> int:
  if kind == 'Z':
    return n
  return math.factorial(min(n, 12)) // (2 if kind == 'A' and n > 1 else 1)


def _cyclic(n: int) -> np.ndarray:
  return np.add.outer(np.arange(n), np.arange(n)) % n


def _permutations(n: int, even: bool) -> np.ndarray:
  found = [p for p in itertools.permutations(range(n)) if not even or _even(p)]
  number = {p: i for i, p in enumerate(found)}
  return np.array(
    [[number[tuple(b[i] for i in a)] for b in found] for a in found]
  )


def _even(permutation: tuple[int, ...]) -> bool:
  pairs = itertools.combinations(permutation, 2)
  return sum(a > b for a, b in pairs) % 2 == 0
