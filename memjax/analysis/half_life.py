"""Norms of gradients, and the lag at which they fall to one half."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def norms(tree: Any) -> jax.Array:
  """Euclidean norms, `(A,)`, of a tree of `(A, ...)` arrays."""
  squares = [
    jnp.square(x).reshape(len(x), -1).sum(-1) for x in jax.tree.leaves(tree)
  ]
  return jnp.sqrt(jnp.stack(squares).sum(0))


def half_life(norm: np.ndarray, lags: np.ndarray) -> np.ndarray:
  """Steps after the first lag at which norms `(..., G)` fall to one half.

  The G lags increase. Infinite if the norm never falls that far; NaN if the
  first is 0.
  """
  with np.errstate(invalid='ignore', divide='ignore'):
    halvings = -np.log2(norm / norm[..., :1])
    fallen = halvings >= 1
    after = fallen.argmax(-1)
    before = np.maximum(after - 1, 0)
    above, below = (
      np.take_along_axis(halvings, i[..., None], -1)[..., 0]
      for i in (before, after)
    )
    share = (1 - above) / (below - above)
    life = lags[before] + share * (lags[after] - lags[before]) - lags[0]
  life = np.where(fallen.any(-1), life, np.inf)
  return np.where(np.isnan(halvings[..., 0]), np.nan, life)
