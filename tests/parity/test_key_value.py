"""The key-value memory against the paper's sums, pair by pair."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.networks.key_value import KeyValueMemory

BATCH, LENGTH, INPUTS, WIDTH = 2, 14, 3, 5


def memory(
  p: dict[str, np.ndarray],
  x: np.ndarray,
  reset: np.ndarray,
  slots: int,
  hops: int,
) -> np.ndarray:
  """One row's outputs, `(T, D)`."""
  y = []
  pairs: list[tuple[np.ndarray, np.ndarray]] = []
  for t in range(len(x)):
    if reset[t]:
      pairs = []
    elif t:
      pairs.append((x[t - 1] @ p['key'], x[t] @ p['value']))
    q = x[t] @ p['query']
    for j in range(hops):
      seen = pairs[-slots:]
      weights = np.exp([q @ key for key, _ in seen])
      o = np.zeros(WIDTH)
      for weight, (_, value) in zip(weights, seen, strict=True):
        o += weight / weights.sum() * value
      q = (q + o) @ p[f'hop_{j}']
    y.append(q)
  return np.stack(y)


def inputs(length: int) -> tuple[jax.Array, jax.Array]:
  """One row with resets, two of them in a row; one without."""
  rng = np.random.default_rng(length)
  x_BTF = rng.normal(size=(BATCH, length, INPUTS)).astype(np.float32)
  reset_BT = np.zeros((BATCH, length), bool)
  reset_BT[0, 0] = True
  reset_BT[0, length // 2 : length // 2 + 2] = True
  return jnp.asarray(x_BTF), jnp.asarray(reset_BT)


def params_of(model: Any, x: jax.Array, reset_BT: jax.Array) -> Any:
  """Parameters so large that every term matters."""
  rng = np.random.default_rng(1)
  carry = model.initial_carry(BATCH)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset_BT)
  return jax.tree.map(
    lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def expected(
  model: KeyValueMemory, params: Any, x: jax.Array, reset_BT: jax.Array
) -> np.ndarray:
  p = {name: np.asarray(v['kernel'], np.float64) for name, v in params.items()}
  rows = zip(np.asarray(x, np.float64), np.asarray(reset_BT), strict=True)
  return np.stack([memory(p, *row, model.slots, model.hops) for row in rows])


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('slots', 'hops', 'sizes'),
  [
    (3, 1, [14]),
    (4, 2, [8, 6]),
    (2, 3, [1, 7, 1, 1, 1, 7]),
    (1, 1, [8, 1, 5]),
    (20, 2, [7, 1, 6]),
    (3, 1, [60]),
  ],
)
def test_outputs_equal_the_papers_sums(
  slots: int, hops: int, sizes: list[int]
) -> None:
  x, reset_BT = inputs(sum(sizes))
  model = KeyValueMemory(WIDTH, slots, hops, chunk=4)  # cuts the long one
  params = params_of(model, x, reset_BT)
  carry, ys = model.initial_carry(BATCH), []
  one = jax.jit(functools.partial(apply, model))
  for end, size in zip(np.cumsum(sizes), sizes, strict=True):
    piece = slice(end - size, end)
    carry, y = one(params, carry, x[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
  wanted = expected(model, params, x, reset_BT)
  np.testing.assert_allclose(
    np.concatenate(ys, axis=1), wanted, rtol=1e-5, atol=2e-5
  )


def test_a_step_without_pairs_has_a_gradient_and_reads_nothing() -> None:
  x, _ = inputs(2)
  x, reset_BT = x[:, :1], jnp.zeros((BATCH, 1), bool)
  model = KeyValueMemory(WIDTH, 3)
  params = params_of(model, x, reset_BT)

  def total(params: Any) -> jax.Array:
    y = apply(model, params, model.initial_carry(BATCH), x, reset_BT)[1]
    return (y**2).sum()

  gradient = jax.jit(jax.grad(total))(params)
  size = {name: np.abs(g['kernel']).max() for name, g in gradient.items()}
  assert size['key'] == size['value'] == 0
  assert size['query'] > 0
  assert size['hop_0'] > 0


@pytest.mark.parametrize('field', ['width', 'slots', 'hops'])
def test_wrong_fields_are_refused(field: str) -> None:
  fields: dict[str, Any] = {'width': 4, 'slots': 3}
  with pytest.raises(ConfigError) as error:
    KeyValueMemory(**fields | {field: 0})
  assert str(error.value) == f'{field}: 0: must be at least 1'
