"""Layers of a Stack that share values, against float64 loops over layers."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.base import apply
from memjax.models.floors import gates
from memjax.models.linear.hgrn2 import HGRN2
from memjax.models.linear.rwkv7 import RWKV7
from memjax.models.recurrent.gru import GRU
from memjax.models.recurrent.hgrn import HGRN
from memjax.models.stack import Stack
from memjax.types import Features
from tests.parity import test_channel_decays, test_hgrn, test_rwkv
from tests.parity.equations import affine, floors
from tests.parity.layers import layer

WIDTH, HEAD, DEPTH = 8, 4, 3
Layers = Iterator[tuple[int, dict[str, Any]]]
Equations = Callable[[Layers, np.ndarray, np.ndarray], np.ndarray]


def with_floors(row: Callable[..., np.ndarray]) -> Equations:
  def equations(layers: Layers, x: np.ndarray, reset: np.ndarray) -> np.ndarray:
    g = np.zeros(0)
    for index, p in layers:
      g = p.get('floors', g)
      x = row(p, x, reset, floors(g, WIDTH, index))
    return x

  return equations


def rwkv7(layers: Layers, x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  first: list[np.ndarray] = []
  for _, p in layers:
    x = test_rwkv.rwkv7(p, x, reset, first)
  return x


KINDS: dict[str, tuple[Any, Equations]] = {
  'HGRN': (HGRN(WIDTH), with_floors(test_hgrn.row)),
  'HGRN2': (HGRN2(WIDTH, HEAD), with_floors(test_channel_decays.hgrn2)),
  'RWKV-7': (RWKV7(WIDTH, HEAD, chunk=4), rwkv7),
}


def stack(memory: Any, **fields: Any) -> Stack:
  specs = Features(WIDTH), Features(WIDTH)
  return Stack(*specs, WIDTH, memory, wiring='plain', **fields)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'name', [pytest.param('HGRN', marks=pytest.mark.slow), 'HGRN2', 'RWKV-7']
)
def test_a_stack_equals_the_papers_equations(name: str) -> None:
  memory, equations = KINDS[name]
  under_test = layer(stack(memory, depth=DEPTH), WIDTH, scale=0.25)
  p = under_test.params64()
  field, owners = ('first', [1, 2]) if name == 'RWKV-7' else ('floors', [0])
  assert owners == [
    i for i in range(DEPTH) if field in p[f'layer_{i}']['memory']
  ]
  expected = []
  for x, reset in under_test.rows64():
    layers = ((i, p[f'layer_{i}']['memory']) for i in range(DEPTH))
    h = equations(layers, affine(p['encoder']['linear'], x), reset)
    expected.append(affine(p['readout'], h))
  y = under_test.read([13])
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-5, atol=5e-5)


def test_floors_start_evenly_and_gates_have_no_logarithm_of_0() -> None:
  a = jnp.asarray([[[0.0, -300.0, 300.0]]])
  for depth in (1, 4):
    shared = {'x_floors_3': jnp.full((depth, 3), -np.log(depth))}
    for index in range(depth):
      log_f, written = gates(a, 'x', shared, index)
      floor = index / depth
      expected = floor + (1 - floor) * np.array([0.5, 0, 1])
      np.testing.assert_allclose(np.exp(log_f[0, 0]), expected, atol=1e-6)
      np.testing.assert_allclose(written[0, 0], 1 - expected, atol=1e-6)
      assert np.isfinite(log_f).all()
      assert (np.asarray(log_f) <= 0).all()


@pytest.mark.slow
def test_the_lowest_layer_of_a_kind_gives() -> None:
  """In a hybrid, and in layers that are one block."""
  fields: dict[str, Any] = {
    'others': {'other': GRU(WIDTH)},
    'pattern': 'other layer',
  }
  hybrid = stack(RWKV7(WIDTH, HEAD), depth=4, **fields)
  params = layer(hybrid, WIDTH).params
  assert 'first' not in params['layer_1']['memory']
  assert 'first' in params['layer_3']['memory']
  shared = layer(stack(RWKV7(WIDTH, HEAD), share=True, depth=2), WIDTH)
  assert 'first' in shared.params['layer_0']['memory']
  assert np.isfinite(shared.read([13])).all()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['HGRN2', 'RWKV-7'])
def test_gradients_are_those_without_remat(name: str) -> None:
  under_test = layer(stack(KINDS[name][0], depth=2), WIDTH)
  model, fresh = under_test.model, under_test.model.initial_carry(2)
  assert isinstance(model, Stack)

  def gradients(remat: str) -> Any:
    def loss(params: Any) -> jax.Array:
      steps = under_test.x_BTF, under_test.reset_BT
      _, y = apply(model.with_remat(remat), params, fresh, *steps)
      return jnp.square(y).sum()

    return jax.jit(jax.grad(loss))(under_test.params)

  whole = gradients('none')
  some = [whole['layer_0']['memory'], whole['layer_1']['memory']]
  names = {'HGRN2': (0, 'floors'), 'RWKV-7': (1, 'first')}
  place, field = names[name]
  assert np.abs(some[place][field]).max() > 1e-3
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    gradients('full'),
    whole,
  )
