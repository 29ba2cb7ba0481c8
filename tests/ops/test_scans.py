"""The recurrent scan against a plain loop that JAX differentiates itself."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import numpy as np
import pytest

from memjax.models.recurrent import gru, lstm, rnn, slstm
from memjax.ops.scans import PIECE, Cell, Weights, recur
from tests.trees import structure

ROWS, FEATURES, WIDTH = 3, 2, 4
# Name: cell, width of the state's arrays, products with x and h, biases.
CELLS = {
  'tanh': (rnn.CELLS['tanh'], 1, 1, 1),
  'relu': (rnn.CELLS['relu'], 1, 1, 1),
  'lstm': (lstm.CELL, 2, 4, 4),
  'coupled': (lstm.cell(True, False), 2, 3, 3),
  'peepholes': (lstm.cell(False, True), 2, 4, 7),
  'coupled peepholes': (lstm.cell(True, True), 2, 3, 5),
  'gru': (gru.CELL, 1, 3, 4),
  'slstm': (slstm.cell(2), 4, 4, 4),
}
LENGTHS = (2 * PIECE + 5, 1, PIECE)


def problem(
  name: str, length: int, rows: int = ROWS, dtype: Any = jnp.float64
) -> tuple[Cell, tuple, jax.Array]:
  """A cell, (weights, state, x) and resets that spare some borders."""
  cell, arrays, blocks, biases = CELLS[name]
  rng = np.random.default_rng(length)

  def draw(*shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), dtype)

  def kernel(rows: int) -> jax.Array:
    if name == 'slstm':  # block-diagonal
      return draw(2, rows // 2, blocks * WIDTH // 2) / 2
    return draw(rows, blocks * WIDTH) / 2

  weights = Weights(kernel(FEATURES), kernel(WIDTH), draw(biases * WIDTH))
  state = tuple(draw(rows, WIDTH) for _ in range(arrays))
  reset_BT = rng.random((rows, length)) < 0.1
  reset_BT[0] = False
  reset_BT[-1, 0] = True
  x_BTF = draw(rows, length, FEATURES)
  return cell, (weights, state, x_BTF), jnp.asarray(reset_BT)


def dense(kernel: jax.Array) -> jax.Array:
  """A kernel as one matrix."""
  return kernel if kernel.ndim == 2 else jax.scipy.linalg.block_diag(*kernel)


def plain(
  cell: Cell,
  weights: Weights,
  state: tuple,
  x_BTF: Any,
  reset_BT: Any,
  mask: Any = 1,
) -> tuple[tuple, jax.Array]:
  def read(state: tuple, now: tuple) -> tuple[tuple, jax.Array]:
    x_BF, reset_B = now
    fresh = cell.fresh or (0.0,) * len(state)
    state = tuple(
      jnp.where(reset_B[:, None], value, v)
      for value, v in zip(fresh, state, strict=True)
    )
    z_BG = x_BF @ dense(weights.input_FG)
    p_BG = (mask * state[0]) @ dense(weights.recurrent_DG)
    state = cell.step(state, cell.merge(z_BG, p_BG) + weights.bias_G[None])
    return state, state[0]

  state, h_TBD = jax.lax.scan(read, state, (x_BTF.swapaxes(0, 1), reset_BT.T))
  return state, h_TBD.swapaxes(0, 1)


def loss(scan: Any, cell: Cell, leaves: tuple, reset_BT: jax.Array) -> Any:
  """Weighs every output and every array of the last state differently."""
  outputs = scan(cell, *leaves, reset_BT)
  weighed = (
    (v * jnp.cos(jnp.arange(v.size, dtype=v.dtype)).reshape(v.shape)).sum()
    for v in jax.tree.leaves(outputs)
  )
  return sum(weighed), outputs


def gradients(scan: Any, cell: Cell, leaves: tuple, reset_BT: Any) -> Any:
  """Gradients of `loss` in every leaf, and the outputs behind it."""
  grad = jax.grad(functools.partial(loss, scan, cell), has_aux=True)
  return jax.jit(grad)(leaves, reset_BT)


def assert_close(got: Any, expected: Any, within: float) -> None:
  assert structure(got) == structure(expected)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=0, atol=within * (1 + abs(b).max()))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('length', LENGTHS)
@pytest.mark.parametrize('name', CELLS)
def test_a_piece_or_several_are_a_plain_loop(name: str, length: int) -> None:
  with jax.enable_x64(True):
    cell, leaves, reset_BT = problem(name, length)
    got = gradients(recur, cell, leaves, reset_BT)
    assert_close(got, gradients(plain, cell, leaves, reset_BT), 1e-10)


def test_a_mask_is_on_h_where_it_is_multiplied() -> None:
  with jax.enable_x64(True):
    cell, leaves, reset_BT = problem('lstm', 20)
    rng = np.random.default_rng(0)
    mask_BD = jnp.asarray(2.0 * rng.integers(0, 2, (ROWS, WIDTH)))
    masked = functools.partial(recur, mask_BD=mask_BD)
    got = gradients(masked, cell, leaves, reset_BT)
    loop = functools.partial(plain, mask=mask_BD)
    assert_close(got, gradients(loop, cell, leaves, reset_BT), 1e-10)


@pytest.mark.slow
def test_gradients_cross_the_borders_of_segments() -> None:
  with jax.enable_x64(True):
    cell, leaves, reset_BT = problem('lstm', 40)

    def segments(
      cell: Cell, weights: Weights, state: tuple, x_BTF: Any, reset_BT: Any
    ) -> tuple[tuple, jax.Array]:
      h = []
      for begin, end in ((0, 1), (1, 20), (20, 40)):
        here = slice(begin, end)
        state, h_BTD = recur(
          cell, weights, state, x_BTF[:, here], reset_BT[:, here]
        )
        h.append(h_BTD)
      return state, jnp.concatenate(h, axis=1)

    got = gradients(segments, cell, leaves, reset_BT)
    assert_close(got, gradients(plain, cell, leaves, reset_BT), 1e-10)


@pytest.mark.slow
def test_replicas_are_independent_runs() -> None:
  with jax.enable_x64(True):
    cell, leaves, reset_BT = problem('lstm', 20)
    other = jax.tree.map(lambda v: v / 3 + 1, leaves)
    runs = [(leaves, reset_BT), (other, ~reset_BT)]
    got = jax.vmap(lambda leaves, reset: gradients(recur, cell, leaves, reset))(
      *jax.tree.map(lambda *v: jnp.stack(v), *runs)
    )
    for i, run in enumerate(runs):
      alone = gradients(recur, cell, *run)
      assert_close(jax.tree.map(lambda v, i=i: v[i], got), alone, 1e-12)


@pytest.mark.slow
def test_gradients_survive_rematerialisation() -> None:
  with jax.enable_x64(True):
    cell, leaves, reset_BT = problem('gru', 20)
    again = jax.checkpoint(recur, static_argnums=(0,))
    got = gradients(again, cell, leaves, reset_BT)
    assert_close(got, gradients(recur, cell, leaves, reset_BT), 1e-12)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('name', ['lstm', 'gru'])
def test_rows_on_eight_devices_exchange_weight_gradients_only(
  name: str,
) -> None:
  cell, leaves, reset_BT = problem(name, 37, rows=16, dtype=jnp.float32)
  expected = gradients(recur, cell, leaves, reset_BT)
  mesh = jax.make_mesh((8,), ('data',), axis_types=(AxisType.Auto,))
  rows = NamedSharding(mesh, PartitionSpec('data'))
  whole = NamedSharding(mesh, PartitionSpec())
  where = (whole, rows, rows)
  step = jax.jit(
    jax.grad(functools.partial(loss, recur, cell), has_aux=True),
    in_shardings=(where, rows),
    out_shardings=(where, rows),
  )
  compiled = step.lower(leaves, reset_BT).compile()
  program = compiled.as_text()
  assert program
  for exchange in ('all-gather', 'all-to-all', 'collective-permute'):
    assert exchange not in program
  sharded = jax.device_put((leaves, reset_BT), (where, rows))
  assert_close(compiled(*sharded), expected, 1e-5)


@pytest.mark.slow
def test_bfloat16_weights_leave_states_and_sums_in_float32() -> None:
  cell, (weights, state, x_BTF), reset_BT = problem(
    'gru', 128 * PIECE, dtype=jnp.float32
  )
  half = jax.tree.map(lambda v: (v / 4).astype(jnp.bfloat16), weights)
  after, h_BTD = recur(cell, half, state, x_BTF, reset_BT)
  assert all(v.dtype == jnp.float32 for v in after)
  assert h_BTD.dtype == jnp.bfloat16

  @jax.jit
  def gradient(weights: Weights) -> Weights:
    def total(weights: Weights) -> jax.Array:
      h_BTD = recur(cell, weights, state, x_BTF, reset_BT)[1]
      return h_BTD.astype(jnp.float32).sum()

    return jax.grad(total)(weights)

  got = gradient(half)
  full = gradient(jax.tree.map(lambda v: v.astype(jnp.float32), half))
  for a, b in zip(got, full, strict=True):
    assert a.dtype == jnp.bfloat16
    assert abs(a.astype(jnp.float32) - b).max() < 0.02 * abs(b).max()
