"""Compressed parameters and carries, beside NumPy and hand-made cases."""

import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis import compressors
from memjax.analysis.compression import Compression
from memjax.analysis.compressors import Compressor, step_by_step
from memjax.analysis.programs import forward, initial_carry
from tests.small import small

RANDOM = np.random.default_rng(0)
KERNEL = jnp.asarray(RANDOM.normal(size=(3, 10, 6)), jnp.float32)
PARAMS = {'heads': KERNEL, 'bias': jnp.arange(5.0)}


def test_quantised_columns_are_the_nearest_of_their_levels() -> None:
  for bits in (2, 4, 8):
    found = compressors.quantised(PARAMS, bits)
    np.testing.assert_array_equal(found['bias'], PARAMS['bias'])
    for head, kernel in zip(found['heads'], KERNEL, strict=True):
      for column, exact in zip(head.T, kernel.T, strict=True):
        step = np.abs(exact).max() / (2 ** (bits - 1) - 1)
        levels = np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)) * step
        nearest = levels[np.abs(levels[None] - exact[:, None]).argmin(1)]
        np.testing.assert_allclose(column, nearest, atol=1e-6)


def test_a_carry_is_rounded_by_row_and_leaf() -> None:
  carry = {
    'c': jnp.array([[4.0, 1.9, -0.9], [0.5, 0.1, -0.5]]),
    'm': jnp.array([[-jnp.inf], [2.0]]),
    'n': jnp.array([3, 4]),
    'z': jnp.zeros((2, 2)),
  }
  found = compressors.quantised_carry(carry, jnp.float32(1))  # two bits
  expected = np.array([[4, 0, 0], [0.5, 0, -0.5]])
  np.testing.assert_allclose(found['c'], expected)
  for name in ('m', 'n', 'z'):
    np.testing.assert_array_equal(found[name], carry[name])


def test_pruned_kernels_lack_their_smallest_or_random_weights() -> None:
  for share in (0.5, 0.9):
    found = np.asarray(compressors.pruned(PARAMS, share)['heads'])
    sizes = np.sort(np.abs(KERNEL).ravel())
    limit = sizes[round(share * KERNEL.size)]
    np.testing.assert_array_equal(
      found, np.where(np.abs(KERNEL) >= limit, KERNEL, 0)
    )
  two = {'a': jnp.ones((8, 8)), 'b': jnp.ones((8, 8))}
  random = compressors.pruned(two, 0.25, seed=3)
  assert [int(x.sum()) for x in random.values()] == [48, 48]
  assert not np.array_equal(random['a'], random['b'])


def test_two_of_four_and_columns() -> None:
  column = jnp.array([1.0, -4, 2, 3, 0.1, 0.2, 0.3, -0.4, 9, 0.01])
  kernel = {'k': jnp.stack([column, 2 * column], axis=1)}
  kept = np.array([0, -4, 0, 3, 0, 0, 0.3, -0.4, 9, 0.01])
  found = compressors.two_of_four(kernel)['k']
  np.testing.assert_allclose(found, np.stack([kept, 2 * kept], axis=1))
  narrow = compressors.narrowed(kernel, 0.5)['k']
  np.testing.assert_allclose(narrow, jnp.stack([0 * column, 2 * column], 1))


def test_the_low_rank_is_the_nearest_one() -> None:
  found = np.asarray(compressors.low_rank(PARAMS, 0.5)['heads'])
  for low, kernel in zip(found, np.asarray(KERNEL, np.float64), strict=True):
    assert np.linalg.matrix_rank(low, tol=1e-4) == 3
    left = np.linalg.svd(kernel, compute_uv=False)[3:]
    np.testing.assert_allclose(
      np.linalg.norm(kernel - low), np.linalg.norm(left), rtol=1e-5
    )


def written_bits(way: Compressor, kernel: np.ndarray) -> int:
  """Bits of a file with what one needs to read the kernel back."""
  back = np.asarray(way.apply({'k': jnp.asarray(kernel)})['k'])
  stored: list[np.ndarray] = []
  if way.name.endswith('of the rank'):
    rank = np.linalg.matrix_rank(back, tol=1e-4)
    stored = [np.zeros((len(back), rank), 'f'), np.zeros((rank, 6), 'f')]
  elif way.name.endswith('bits') and way.name != '32 bits':
    bits = int(way.name.split()[0])
    codes = np.zeros(kernel.size * bits, bool)
    stored = [np.packbits(codes), np.zeros(6, 'f')]
  elif 'columns' in way.name:
    there = (back != 0).any(0)
    stored = [np.packbits(there), back[:, there]]
  elif 'pruned' in way.name:
    stored = [np.packbits(back != 0), back[back != 0]]
  elif way.name == '2:4':
    stored = [
      back[back != 0],
      np.packbits(np.zeros(2 * (back != 0).sum(), bool)),
    ]
  else:
    stored = [back]
  file = io.BytesIO()
  for array in stored:
    file.write(array.astype(array.dtype).tobytes())
  return 8 * file.tell()


WAYS = list(compressors.compressors())


@pytest.mark.parametrize('way', WAYS, ids=lambda way: way.name)
def test_bytes_are_those_of_a_file(way: Compressor) -> None:
  kernel = RANDOM.normal(size=(16, 6)).astype('f')
  assert abs(written_bits(way, kernel) - way.bits(kernel.shape)) < 8
  params = {'k': jnp.asarray(kernel), 'b': jnp.zeros(3)}
  assert way.stored_bytes(params) == -(-int(way.bits((16, 6))) // 8) + 12


def trained(name: str) -> tuple[Any, Any, Any]:
  experiment = small('copy_memory', name)
  model, task = experiment.model, experiment.task
  inputs, reset_BT = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3), bool)

  @jax.jit
  @jax.vmap
  def init(key: jax.Array) -> dict:
    carry = model.initial_carry(1)
    return model.init(key, carry, inputs, reset_BT)['params']

  return model, init(jax.random.split(jax.random.key(0), 2)), task


@pytest.mark.slow
def test_without_rounding_step_by_step_is_the_whole() -> None:
  model, params_N, task = trained('lstm')
  carry_N = initial_carry(model, 2, 3)
  inputs = jnp.arange(15).reshape(3, 5) % task.input_spec.size
  reset_BT = jnp.zeros((3, 5), bool).at[1, 2].set(True)
  read = model, params_N, carry_N, inputs, reset_BT
  after, y = forward(*read)
  fine = jnp.full(2, 2.0**23)
  after_steps, y_steps = step_by_step(*read, fine)
  np.testing.assert_allclose(y_steps, y, atol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    after_steps,
    after,
  )
  _, y_coarse = step_by_step(*read, jnp.ones(2))
  assert np.abs(np.asarray(y_coarse - y)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize('name', ['lstm', 'transformer_xl'])
def test_the_instrument_has_a_score_for_each_way(name: str) -> None:
  model, params_N, task = trained(name)
  instrument = Compression(batch_size=4, batches=1, carry_bits='8 2')
  assert instrument.defined(model, task) == ''
  result = instrument.measure(model, params_N, task)
  found, ways = result.arrays, len(WAYS)
  assert found.what.count('carry') == 2
  assert found.scores.shape == (ways + 2, 2, len(found.edges) - 1)
  assert len(result.rows) == found.scores.size
  np.testing.assert_allclose(found.scores[0], found.scores[-2], atol=0.3)
  (table,) = instrument.show({'run': result}).tables
  assert table.rows[0][:2] == ['parameters, 32 bits', table.rows[0][1]]
  assert len(table.rows) == ways + 2
