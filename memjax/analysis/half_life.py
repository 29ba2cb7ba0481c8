"""Norms of gradients, and the lag at which they fall to one half."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

HALF_LIVES = 'Half-lives, in steps; — where the norm does not fall'


def norms(tree: Any) -> jax.Array:
  """Euclidean norms, `(A,)`, of a tree of `(A, ...)` arrays."""
  squares = [
    jnp.square(x).reshape(len(x), -1).sum(-1) for x in jax.tree.leaves(tree)
  ]
  return jnp.sqrt(jnp.stack(squares).sum(0))


def half_life(norm: np.ndarray, lags: np.ndarray) -> np.ndarray:
  """Steps after the first lag at which norms `(..., G)` fall to one half.

  The G lags increase. If the norm falls, but not to one half, the half-life is
  at least the number of steps to the last lag, `longest(lags)`, and is that
  number. NaN if the last norm is not below the first, or the first is 0.
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
    falls = np.where(halvings[..., -1] > 0, float(longest(lags)), np.nan)
  return np.where(fallen.any(-1), life, falls)


def longest(lags: np.ndarray) -> int:
  """The longest half-life that these lags can show."""
  return int(lags[-1] - lags[0])
