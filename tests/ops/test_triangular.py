"""Unit lower triangular systems equal float64's, and call no LAPACK."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax import models, ops
from memjax.ops.triangular import solve_unit_lower

ROOMS = [Path(*room.__path__) for room in (ops, models)]
SOURCES = [path for room in ROOMS for path in sorted(room.rglob('*.py'))]


def systems(rows: int) -> tuple[np.ndarray, np.ndarray]:
  """Keys that are random, and keys that are all the same."""
  rng = np.random.default_rng(rows)
  k = rng.normal(size=(rows, 3))
  k /= np.linalg.norm(k, axis=1, keepdims=True)
  lower = np.tril([k @ k.T, np.ones((rows, rows))], -1)
  return lower, rng.normal(size=(2, rows, 5))


@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.parametrize('rows', [1, 2, 7, 64])
def test_it_and_its_gradients_equal_float64(
  rows: int, transposed: bool
) -> None:
  lower, known = systems(rows)

  def loss(lower: jax.Array, known: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = solve_unit_lower(jnp.tril(lower, -1), known, transposed=transposed)
    return (x**2).sum() / 2, x

  whole = np.eye(rows) + lower
  whole = whole.swapaxes(1, 2) if transposed else whole
  x = np.linalg.solve(whole, known)
  of_known = np.linalg.solve(whole.swapaxes(1, 2), x)
  of_whole = -of_known @ x.swapaxes(1, 2)
  of_lower = np.tril(of_whole.swapaxes(1, 2) if transposed else of_whole, -1)
  both = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
  grads, found = both(np.float32(lower), np.float32(known))
  for ours, exact in zip((found, *grads), (x, of_lower, of_known), strict=True):
    np.testing.assert_allclose(ours, exact, atol=1e-5 * np.abs(exact).max())


def test_no_memory_calls_lapack() -> None:
  """On a CPU two such calls at once may wait for one another for ever."""
  sources = {path: path.read_text(encoding='utf-8') for path in SOURCES}
  assert [path for path in sources if 'lax.linalg' in sources[path]] == []
