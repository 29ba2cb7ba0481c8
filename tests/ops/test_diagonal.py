"""Diagonal recurrences against a loop over steps in float64."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh
import numpy as np
import pytest

from memjax.ops import diagonal_kernel
from memjax.ops.diagonal import diagonal, rotating

ROWS, WIDTH = 3, 4
OPS = (diagonal, rotating)
LENGTHS = (1, 2, 3, 40)


def draw(
  op: Callable[..., Any], length: int
) -> tuple[list[np.ndarray], np.ndarray]:
  """Every input but the resets, and those, two of them in a row.

  Decays are from exp(-20) to 1 and, of real units, of either sign.
  """
  rng = np.random.default_rng(length)
  reset = rng.random((ROWS, length)) < 0.1
  reset[0] = False
  reset[1, length // 2 :][:2] = True
  shape = ROWS, length, WIDTH
  decay = np.exp(-rng.choice([0.0, 0.1, 1.0, 20.0], shape))
  if op is diagonal:
    decay *= rng.choice([-1.0, 1.0], shape)
    return [rng.normal(size=shape)[:, 0], decay, rng.normal(size=shape)], reset
  h, x = rng.normal(size=(ROWS, WIDTH, 2)), rng.normal(size=(*shape, 2))
  return [h, decay, 7 * rng.normal(size=shape), x], reset


def loop(
  op: Callable[..., Any], arrays: list[np.ndarray], reset: np.ndarray
) -> np.ndarray:
  """h of every step, in complex128 for `rotating`."""
  h, decay, *angle, x = arrays
  if op is rotating:
    h, x = (z[..., 0] + 1j * z[..., 1] for z in (h, x))
    decay = decay * np.exp(1j * angle[0])
  states = []
  for t in range(reset.shape[1]):
    h = np.where(reset[:, t, None], 0, h)
    h = decay[:, t] * h + x[:, t]
    states.append(h)
  h_BTD = np.stack(states, 1)
  return np.stack([h_BTD.real, h_BTD.imag], -1) if op is rotating else h_BTD


def single(arrays: list[np.ndarray]) -> list[jax.Array]:
  return [jnp.asarray(x, jnp.float32) for x in arrays]


@pytest.mark.parametrize('op', OPS)
@pytest.mark.parametrize('length', LENGTHS)
def test_it_equals_the_loop(op: Callable[..., Any], length: int) -> None:
  arrays, reset = draw(op, length)
  last, h_BTD = jax.jit(op)(*single(arrays), jnp.asarray(reset))
  np.testing.assert_allclose(
    h_BTD, loop(op, arrays, reset), rtol=1e-5, atol=2e-5
  )
  np.testing.assert_array_equal(last, h_BTD[:, -1])


def differentiated(op: Callable[..., Any], *inputs: Any) -> jax.Array:
  """The recurrence in plain JAX, which differentiates it by itself."""
  h, decay, *angle, x, reset_BT = inputs
  a = decay
  if op is rotating:
    a = lax.complex(decay * jnp.cos(angle[0]), decay * jnp.sin(angle[0]))
    h, x = (lax.complex(z[..., 0], z[..., 1]) for z in (h, x))
  states = []
  for t in range(x.shape[1]):
    h = jnp.where(reset_BT[:, t, None], 0, h)
    h = a[:, t] * h + x[:, t]
    states.append(h)
  h_BTD = jnp.stack(states, 1)
  if op is rotating:
    return jnp.stack([h_BTD.real, h_BTD.imag], -1)
  return h_BTD


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('op', OPS)
@pytest.mark.parametrize('length', [9, 1])
def test_gradients_are_those_of_the_loop(
  op: Callable[..., Any], length: int
) -> None:
  arrays, reset = draw(op, length)
  with jax.enable_x64(True):
    inputs = [jnp.asarray(x) for x in arrays]
    reset_BT = jnp.asarray(reset)
    shape = differentiated(op, *inputs, reset_BT).shape
    weight = jnp.asarray(np.random.default_rng(0).normal(size=shape))

    def ours(inputs: Any) -> jax.Array:
      last, h_BTD = op(*inputs, reset_BT)
      return (weight * jnp.sin(h_BTD)).sum() + (last**2).sum()

    def theirs(inputs: Any) -> jax.Array:
      h_BTD = differentiated(op, *inputs, reset_BT)
      return (weight * jnp.sin(h_BTD)).sum() + (h_BTD[:, -1] ** 2).sum()

    for found, expected in zip(
      jax.jit(jax.grad(ours))(inputs),
      jax.jit(jax.grad(theirs))(inputs),
      strict=True,
    ):
      np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('op', OPS)
def test_the_tree_of_other_devices_gives_the_same(
  op: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
  arrays, reset = draw(op, 40)
  inputs, reset_BT = single(arrays), jnp.asarray(reset)

  def results() -> Any:
    def loss(inputs: Any) -> tuple[jax.Array, jax.Array]:
      h_BTD = op(*inputs, reset_BT)[1]
      return (h_BTD**2).sum(), h_BTD

    return jax.jit(jax.grad(loss, has_aux=True))(inputs)

  in_turn = results()
  monkeypatch.setattr(
    lax, 'platform_dependent', lambda *args, default, **_: default(*args)
  )
  in_a_tree = results()
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-4),
    in_turn,
    in_a_tree,
  )


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('op', OPS)
@pytest.mark.parametrize('constant', [False, True])
def test_the_kernel_of_gpus_gives_the_same(
  constant: bool, op: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
  """Five steps, read two at a time, of three units in blocks of two."""
  arrays, reset = draw(op, 5)
  h, *factors, x = (
    a.take(range(3), 1 if a is arrays[0] else 2) for a in arrays
  )
  if constant:
    factors = [factor[0, 0] for factor in factors]
  weight = np.random.default_rng(0).normal(size=x.shape)

  def results(dtype: Any) -> Any:
    def loss(inputs: Any) -> tuple[jax.Array, jax.Array]:
      h_BTD = op(*inputs, jnp.asarray(reset))[1]
      return (weight.astype(dtype) * h_BTD).sum(), h_BTD

    inputs = [jnp.asarray(a, dtype) for a in (h, *factors, x)]
    return jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(inputs))

  with jax.enable_x64(True):
    in_turn = results(np.float64)
  monkeypatch.setattr(diagonal_kernel, 'AHEAD', 2)
  monkeypatch.setattr(diagonal_kernel, 'BLOCK', 2)
  monkeypatch.setattr(
    *(lax, 'platform_dependent'),
    lambda *args, cuda, **_: cuda(*args, interpret=True),
  )
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(
      *(one, two), rtol=1e-5, atol=1e-5
    ),
    results(np.float32),
    in_turn,
  )


@pytest.mark.filterwarnings('ignore:The Pallas Triton backend is deprecated')
@pytest.mark.parametrize('op', OPS)
def test_both_kernels_are_lowered_for_gpus(op: Callable[..., Any]) -> None:
  arrays, reset = draw(op, 9)
  inputs, reset_BT = single(arrays), jnp.asarray(reset)
  gradient = jax.jit(jax.grad(lambda inputs: op(*inputs, reset_BT)[1].sum()))
  # Without a GPU, newer versions of jax must be told which one it is.
  gpu = AbstractDevice('NVIDIA H100', None, 'gpu')
  with use_abstract_mesh(AbstractMesh((1,), ('x',), abstract_device=gpu)):
    lowered = gradient.trace(inputs).lower(lowering_platforms=('cuda',))
    program = lowered.as_text()
  assert program.count('xla.gpu.triton') == 2


@pytest.mark.parametrize('op', OPS)
def test_only_decays_and_states_are_kept_for_the_gradient(
  op: Callable[..., Any],
) -> None:
  """No more than four arrays of the state's size, a, h and what is read."""
  arrays, reset = draw(op, 1)
  inputs = [np.broadcast_to(arrays[0], arrays[0].shape)]
  inputs += [np.repeat(x, 512, axis=1) for x in arrays[1:]]
  reset_BT = jnp.asarray(np.repeat(reset, 512, axis=1))

  def loss(inputs: Any) -> jax.Array:
    return op(*inputs, reset_BT)[1].sum()

  compiled = jax.jit(jax.grad(loss)).lower(single(inputs)).compile()
  used = compiled.memory_analysis()
  assert used is not None
  state_bytes = 4 * np.prod(inputs[-1].shape)
  assert used.temp_size_in_bytes < 8 * state_bytes


@pytest.mark.slow
@pytest.mark.parametrize('op', OPS)
@pytest.mark.parametrize('length', [9, 1])
@pytest.mark.parametrize('rows', [1, ROWS])
def test_factors_without_time_are_those_of_every_step(
  rows: int, length: int, op: Callable[..., Any]
) -> None:
  arrays, reset = draw(op, length)
  shape = rows, length, WIDTH
  reset_BT = jnp.asarray(reset[:rows])
  with jax.enable_x64(True):
    h, *steps, x = (jnp.asarray(a[:rows]) for a in arrays)
    factors = [factor[0, 0] for factor in steps]
    whole = [jnp.broadcast_to(factor, shape) for factor in factors]
    weight = jnp.asarray(np.random.default_rng(0).normal(size=x.shape))

    def result(factors: list[jax.Array]) -> jax.Array:
      return (weight * op(h, *factors, x, reset_BT)[1]).sum()

    np.testing.assert_allclose(result(factors), result(whole), rtol=1e-12)
    for found, expected in zip(
      jax.grad(result)(factors), jax.grad(result)(whole), strict=True
    ):
      np.testing.assert_allclose(found, expected.sum((0, 1)), rtol=1e-9)
