"""Adaptive embedding and softmax: a rare id costs less than a frequent one.

Ids are sorted by frequency and cut into clusters, the head 0 and the tails
1 ... N. Cluster i has V_i ids and a table W_i of vectors of E_i = E / s^i
numbers:

    x(v) = P_i W_i[v]                                     embedding of id v
    [a, c] = [W_0, C] Q_0' h + [b_0, d]                   scores of the head
    log p(v) = log softmax([a, c])_v                      v in the head
    log p(v) = log softmax([a, c])_(c_i) + log softmax(W_i Q_i' h + b_i)_v

With s = 1 there are one table and one P; without P and Q if E is D.

Paper: Grave et al. 2017, https://arxiv.org/abs/1609.04309; as an embedding,
Baevski & Auli 2019, https://arxiv.org/abs/1809.10853; projections tied and not,
Dai et al. 2019, https://arxiv.org/abs/1901.02860, Transformer-XL.
Carry: none.
Cost per step: sum of E_i D for the embedding. All log p: E (D + V_0 + N) and
sum of E_i (D + V_i). `labels` reads the head, and of a tail only the blocks of
32 steps that hold a label of it, or whose best id may lie in it. Under `vmap`
(several replicas, row_clip_norm) it reads all of them.
Parameters: W normal of variance 1 / E_i, P and Q of variance 1 / D, others 0.
Deviations: the authors of Transformer-XL draw at 0.02 and 0.01.
"""

from collections.abc import Sequence
import math
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.clusters import Clusters
from memjax.models.dense import rows_product
from memjax.ops.blocks import BLOCK, in_blocks, pick
from memjax.ops.products import flat_product


class Tables(NamedTuple):
  """What an embedding can share with a softmax.

  Attributes:
    rows: W, `(V_i, E_i)` of each cluster.
    projections: P, `(D, E_i)` of each cluster; () if there is none.
  """

  rows: Sequence[jax.Array]
  projections: Sequence[jax.Array]


def _rows(module: nn.Module, clusters: Clusters) -> list[jax.Array]:
  """The tables as parameters of a module."""
  return [
    module.param(
      f'table_{i}', nn.initializers.normal(1 / math.sqrt(shape[1])), shape
    )
    for i, shape in enumerate(clusters.tables)
  ]


def _projection(module: nn.Module, clusters: Clusters, i: int) -> jax.Array:
  draw = nn.initializers.normal(1 / math.sqrt(clusters.width))
  shape = clusters.width, clusters.widths[i]
  return module.param(f'projection_{i}', draw, shape)


class AdaptiveEmbedding(nn.Module):
  """Ids to vectors of D numbers.

  Attributes:
    clusters: of the ids.
  """

  clusters: Clusters

  def setup(self) -> None:
    number = len(self.clusters.tables) if self.clusters.projected else 0
    self.rows = _rows(self, self.clusters)
    self.projections = [
      _projection(self, self.clusters, i) for i in range(number)
    ]

  def shared(self) -> Tables:
    """The tables and projections, one for each cluster."""
    clusters, projections = self.clusters, list(self.projections)
    if clusters.shrink == 1:
      projections *= len(clusters.sizes)
    return Tables(clusters.cut(self.rows), projections)

  def __call__(self, ids: jax.Array) -> jax.Array:
    """`(...)` to `(..., D)`."""
    edges = self.clusters.edges if len(self.rows) > 1 else (0,)
    found = []
    for low, table in zip(edges, self.rows, strict=False):
      place = ids - low
      x = table.at[place].get(mode='clip')
      inside = (place >= 0) & (place < len(table))
      found.append(jnp.where(inside[..., None], x, 0))
    if not self.projections:
      return found[0]
    joint = jnp.concatenate(self.projections, axis=1)
    return flat_product(jnp.concatenate(found, axis=-1), joint.T)


class AdaptiveSoftmax(nn.Module):
  """Hidden states to logarithms of probabilities.

  Attributes:
    clusters: of the ids.
    tied: whether the tables are the embedding's.
    tied_projections: which projections are the embedding's, of `TIED`.
    bias: whether b and d exist.
  """

  clusters: Clusters
  tied: bool
  tied_projections: str
  bias: bool

  def setup(self) -> None:
    clusters, zeros = self.clusters, nn.initializers.zeros_init()
    tails = len(clusters.sizes) - 1
    if not self.tied:
      self.rows = _rows(self, clusters)
    self.own = [
      _projection(self, clusters, i)
      for i in clusters.own(self.tied_projections)
    ]
    if tails:
      shape = tails, clusters.first
      self.heads = self.param('cluster_table', zeros, shape)
    if self.bias:
      self.biases = [
        self.param(f'bias_{i}', zeros, (size,))
        for i, (size, _) in enumerate(clusters.tables)
      ]
    if self.bias and tails:
      self.cluster_bias = self.param('cluster_bias', zeros, (tails,))

  def __call__(self, h: jax.Array, shared: Tables) -> jax.Array:
    """log p, `(..., V)` float32.

    Args:
      h: `(..., D)`.
      shared: what the embedding shares.
    """
    head, size = self._log_p(h, shared, 0), self.clusters.sizes[0]
    tails = [
      head[..., size + i, None] + self._log_p(h, shared, i + 1)
      for i in range(len(self.clusters.sizes) - 1)
    ]
    return jnp.concatenate([head[..., :size], *tails], axis=-1)

  def labels(
    self, h: jax.Array, targets: jax.Array, shared: Tables
  ) -> tuple[jax.Array, jax.Array]:
    """-log p of the targets, and whether each is the most probable id.

    Of equal ids the first one is the most probable.

    Args:
      h: `(..., D)`.
      targets: `(...)` ids.
      shared: what the embedding shares.
    """
    h_ND, id_N = h.reshape(-1, h.shape[-1]), targets.reshape(-1)
    edges, size = self.clusters.edges, self.clusters.sizes[0]
    head = self._log_p(h_ND, shared, 0)
    cluster_N = jnp.searchsorted(jnp.array(edges[1:-1]), id_N, side='right')
    log_p_N, best_N = pick(head[:, :size], id_N)
    first_N = head[:, :size].max(axis=1)
    for i in range(1, len(edges) - 1):
      here_N = cluster_N == i

      def read(h: jax.Array, id_N: jax.Array, i: int = i) -> Any:
        return pick(self._log_p(h, shared, i), id_N - edges[i])

      nothing = jnp.zeros(BLOCK), jnp.zeros(BLOCK, bool)
      inner_N, top_N = in_blocks(here_N, read, nothing, h_ND, id_N)
      inner_N += head[:, size + i - 1]
      log_p_N = jnp.where(here_N, inner_N, log_p_N)
      best_N = jnp.where(here_N, top_N & (inner_N > first_N), best_N)
    settled = jax.lax.stop_gradient
    for i in range(1, len(edges) - 1):
      mass_N, own_N = settled(head[:, size + i - 1]), settled(log_p_N)
      open_N = best_N & (cluster_N != i) & (mass_N >= own_N)

      def most(h: jax.Array, i: int = i) -> jax.Array:
        return settled(self._log_p(h, shared, i)).max(axis=1)

      other_N = in_blocks(open_N, most, jnp.zeros(BLOCK), settled(h_ND))
      other_N += mass_N
      beaten = (other_N > own_N) | ((i < cluster_N) & (other_N == own_N))
      best_N &= ~(open_N & beaten)
    return -log_p_N.reshape(targets.shape), best_N.reshape(targets.shape)

  def _log_p(self, h: jax.Array, shared: Tables, i: int) -> jax.Array:
    """Logarithms of the shares of a cluster's ids; of the head, tails too."""
    rows = shared.rows if self.tied else self.clusters.cut(self.rows)
    table = rows[i]
    if i == 0 and len(rows) > 1:
      table = jnp.concatenate([table, self.heads])
    if self.clusters.projected:
      projection = self.own[i] if i < len(self.own) else shared.projections[i]
      h = flat_product(h, projection.astype(h.dtype))
    y = rows_product(h, table)
    if self.bias:
      bias = self.clusters.cut(self.biases)[i]
      if i == 0 and len(rows) > 1:
        bias = jnp.concatenate([bias, self.cluster_bias])
      y += bias.reshape((1,) * (y.ndim - 1) + (-1,))
    return jax.nn.log_softmax(y)
