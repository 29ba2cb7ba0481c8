"""LSTMN against a float64 NumPy evaluation of the paper, with growing tapes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.lstmn import LSTMN

BATCH, LENGTH, FEATURES, WIDTH = 2, 12, 3, 5


def sigma(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def lstmn(
  p: dict[str, Any], xs: np.ndarray, reset: np.ndarray, memory: int
) -> np.ndarray:
  """One row; the tapes are lists, of which the last `memory` are looked at."""
  hidden: list[np.ndarray] = []
  cells: list[np.ndarray] = []
  summary, y = np.zeros(WIDTH), []
  for x, anew in zip(xs, reset, strict=True):
    if anew:
      hidden, cells, summary = [], [], np.zeros(WIDTH)
    scores = [
      p['v']
      @ np.tanh(
        h @ p['tape_kernel']
        + x @ p['attention']['kernel']
        + summary @ p['summary_kernel']
      )
      for h in hidden[-memory:]
    ]
    summary, cell = np.zeros(WIDTH), np.zeros(WIDTH)
    if scores:
      weights = softmax(np.array(scores))
      summary = weights @ np.stack(hidden[-memory:])
      cell = weights @ np.stack(cells[-memory:])
    gates = summary @ p['recurrent_kernel']
    gates = gates + x @ p['gates']['kernel'] + p['gates']['bias']
    i, f, o, g = np.split(gates, 4)
    c = sigma(f) * cell + sigma(i) * np.tanh(g)
    h = sigma(o) * np.tanh(c)
    hidden.append(h)
    cells.append(c)
    y.append(h)
  return np.stack(y)


def inputs() -> tuple[jax.Array, jax.Array]:
  """One row with resets, one without."""
  rng = np.random.default_rng(0)
  x_BTF = rng.normal(size=(BATCH, LENGTH, FEATURES)).astype(np.float32)
  reset_BT = np.zeros((BATCH, LENGTH), bool)
  reset_BT[0, [3, 4, 9]] = True
  return jnp.asarray(x_BTF), jnp.asarray(reset_BT)


def params_of(model: LSTMN, x_BTF: jax.Array, reset_BT: jax.Array) -> Any:
  """Parameters of such a size that no term is too small to be missed."""
  rng = np.random.default_rng(1)
  carry = model.initial_carry(BATCH)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x_BTF, reset_BT)
  return jax.tree.map(
    lambda p: jnp.asarray(0.8 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


@pytest.mark.parametrize('sizes', [[LENGTH], [5, 1, 6]])
@pytest.mark.parametrize('memory', [1, 4, 20])
def test_layer_equals_the_papers_equations(
  memory: int, sizes: list[int]
) -> None:
  x_BTF, reset_BT = inputs()
  model = LSTMN(WIDTH, memory)
  params = params_of(model, x_BTF, reset_BT)
  float64 = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
  expected = [
    lstmn(float64, np.asarray(x, np.float64), np.asarray(reset), memory)
    for x, reset in zip(x_BTF, reset_BT, strict=True)
  ]
  apply = jax.jit(lambda *args: model.apply({'params': params}, *args))
  carry, ys = model.initial_carry(BATCH), []
  for end, size in zip(np.cumsum(sizes), sizes, strict=True):
    piece = slice(end - size, end)
    carry, y = apply(carry, x_BTF[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
  y = np.concatenate(ys, axis=1)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_only_the_forget_gates_bias_starts_at_one() -> None:
  model = LSTMN(WIDTH, 2)
  carry = model.initial_carry(BATCH)
  params = model.init(jax.random.key(0), carry, *inputs())['params']
  bias = np.split(np.asarray(params['gates']['bias']), 4)
  assert [set(part) for part in bias] == [{0}, {1}, {0}, {0}]


@pytest.mark.parametrize('field', ['width', 'memory'])
def test_wrong_fields_are_refused(field: str) -> None:
  with pytest.raises(ConfigError) as error:
    LSTMN(**{'width': WIDTH, 'memory': 3} | {field: 0})
  assert str(error.value) == f'{field}: 0: must be at least 1'
