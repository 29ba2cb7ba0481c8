"""How a vocabulary whose ids are sorted by frequency is cut into clusters."""

from collections.abc import Sequence
import dataclasses
import itertools

import jax
import jax.numpy as jnp

from memjax.errors import require

# Clusters whose projection of the softmax is that of the embedding.
TIED = ('none', 'tails', 'all')


@dataclasses.dataclass(frozen=True)
class Clusters:
  """How a vocabulary is cut.

  Attributes:
    edges: 0, the first id of each tail, V.
    width: D.
    first: E.
    shrink: s.
  """

  edges: tuple[int, ...]
  width: int
  first: int
  shrink: int

  @property
  def sizes(self) -> list[int]:
    """V_i."""
    return [b - a for a, b in itertools.pairwise(self.edges)]

  @property
  def widths(self) -> list[int]:
    """E_i."""
    return [self.first // self.shrink**i for i in range(len(self.sizes))]

  @property
  def head(self) -> int:
    """V_0 + N, the number of scores of the head."""
    return self.edges[1] + len(self.sizes) - 1

  @property
  def projected(self) -> bool:
    return self.shrink > 1 or self.first != self.width

  @property
  def tables(self) -> list[tuple[int, int]]:
    """The shapes of the tables that are parameters."""
    if self.shrink == 1:
      return [(self.edges[-1], self.first)]
    return list(zip(self.sizes, self.widths, strict=True))

  def cut(self, arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """An array of each cluster, of one for each table."""
    if len(arrays) == len(self.sizes):
      return list(arrays)
    return jnp.split(arrays[0], self.edges[1:-1])

  def own(self, tied: str) -> list[int]:
    """Clusters whose Q is not P, for a name of `TIED`."""
    if not self.projected:
      return []
    free = {'none': len(self.sizes), 'tails': 1, 'all': 0}
    return list(range(free[tied]))


def clusters_of(
  cutoffs: str, vocab: int, width: int, first: int, shrink: int
) -> Clusters:
  """The clusters that fields of a Stack describe.

  Args:
    cutoffs: the first id of each tail, separated by spaces.
    vocab: V.
    width: D.
    first: E; 0 for D.
    shrink: s.

  Raises:
    ConfigError: a field breaks a rule.
  """
  rule = f'must be ids from 1 to {vocab - 1} that grow, separated by spaces'
  words = cutoffs.split()
  require(all(w.isdecimal() for w in words), 'cutoffs', cutoffs, rule)
  edges = (0, *map(int, words), vocab)
  grow = all(a < b for a, b in itertools.pairwise(edges))
  require(grow, 'cutoffs', cutoffs, rule)
  require(first >= 0, 'embedding_width', first, 'must be at least 0')
  require(shrink >= 1, 'shrink', shrink, 'must be at least 1')
  clusters = Clusters(edges, width, first or width, shrink)
  rule = f'leaves nothing of {clusters.first} in cluster {len(words)}'
  require(clusters.widths[-1] >= 1, 'shrink', shrink, rule)
  return clusters
