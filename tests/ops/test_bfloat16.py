"""Inputs in bfloat16: operations sum in float32, and gradients stay finite."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.convolution import convolve
from memjax.ops.diagonal import diagonal, rotating
from memjax.ops.dplr import dplr
from memjax.ops.exponential import exponential, nothing
from memjax.ops.fenwick import add_levels, correct_levels
from memjax.ops.linear_attention import add, correct
from memjax.ops.mesa import regress
from memjax.ops.selective import selective
from memjax.ops.slots import attend_slots
from memjax.ops.taylor import add_taylor, number_of_features

ROWS, STEPS, HEADS, KEY, VALUE, CHUNK = 2, 300, 1, 4, 3, 16
Arrays = dict[str, jax.Array]


def draw() -> Arrays:
  """Inputs that bfloat16 holds exactly; one decay of each is beyond exp(-50).

  Keys are short, so that a memory that is corrected stays bounded.
  """
  rng = np.random.default_rng(0)
  step = ROWS, STEPS, HEADS
  decay = -0.02 * rng.random((*step, KEY))
  decay[:, 7] = -60.0
  arrays = {
    'q': rng.normal(size=(*step, KEY)),
    'k': 0.3 * rng.normal(size=(*step, KEY)),
    'v': rng.normal(size=(*step, VALUE)),
    'share': rng.random((*step, VALUE)),
    'log_decay': decay,
    'decay': 1 - 0.02 * rng.random((*step, KEY)),
    'i': 40 * rng.normal(size=step),
    'beta': rng.random(step),
    'angle': rng.normal(size=(*step, KEY)),
    'kernel': rng.normal(size=(4, KEY)),
  }
  return {n: jnp.asarray(x, jnp.bfloat16) for n, x in arrays.items()}


def resets() -> jax.Array:
  reset_BT = np.random.default_rng(1).random((ROWS, STEPS)) < 0.01
  reset_BT[0, [20, 21]] = True
  return jnp.asarray(reset_BT)


def zeros(*shape: int) -> jax.Array:
  return jnp.zeros((ROWS, *shape))


W = HEADS, KEY, VALUE


def add_heads(x: Arrays, reset_BT: jax.Array) -> Any:
  steps = x['q'], x['k'], x['v'], reset_BT
  decay = x['log_decay'][..., 0]
  return add(zeros(*W), *steps, log_decay=decay, chunk=CHUNK)


def correct_channels(x: Arrays, reset_BT: jax.Array) -> Any:
  steps = x['q'], x['k'], x['v'], x['k'], reset_BT
  return correct(zeros(*W), *steps, log_decay=x['log_decay'], chunk=CHUNK)


def dplr_channels(x: Arrays, reset_BT: jax.Array) -> Any:
  steps = x['q'], x['k'], x['v'], x['k'], x['k'], reset_BT
  return dplr(zeros(*W), *steps, log_decay=x['log_decay'], chunk=CHUNK)


def attend(x: Arrays, reset_BT: jax.Array) -> Any:
  slots = zeros(HEADS, VALUE, KEY), zeros(HEADS, VALUE, VALUE)
  steps = x['q'], x['k'], x['v'], x['share']
  decay = x['log_decay'][..., :VALUE]
  return attend_slots(*slots, *steps, decay, reset_BT, chunk=CHUNK)


def taylor(x: Arrays, reset_BT: jax.Array) -> Any:
  w = zeros(HEADS, number_of_features(KEY), VALUE)
  return add_taylor(w, x['q'], x['k'], x['v'], reset_BT, chunk=CHUNK)


def solve(x: Arrays, reset_BT: jax.Array) -> Any:
  steps = x['q'], x['k'], x['v'], x['beta']
  return regress(
    zeros(HEADS, KEY, KEY),
    zeros(*W),
    *steps,
    jnp.ones((HEADS, KEY)),
    reset_BT,
    log_decay=x['log_decay'][..., 0],
    chunk=CHUNK,
    iterations=8,
  )


def by_level(x: Arrays, reset_BT: jax.Array) -> Any:
  w, count = zeros(VALUE, *W), jnp.zeros(ROWS, jnp.int32)
  steps = x['q'], x['k'], x['v'], jnp.abs(x['q'])
  decay = x['log_decay'][..., 0]
  (w, _), y = add_levels(
    w, count, *steps, reset_BT, log_decay=decay, chunk=CHUNK
  )
  return w, y


def by_level_corrected(x: Arrays, reset_BT: jax.Array) -> Any:
  w, count = zeros(VALUE, *W), jnp.zeros(ROWS, jnp.int32)
  steps = x['q'], x['k'], x['v'], x['k'], jnp.abs(x['q'])
  decay = x['log_decay'][..., 0]
  (w, _), y = correct_levels(
    w, count, *steps, reset_BT, log_decay=decay, chunk=CHUNK
  )
  return w, y


def gated(x: Arrays, reset_BT: jax.Array) -> Any:
  decay = x['log_decay']
  steps = x['q'], x['k'], x['v'], x['i'], decay[..., 0]
  return exponential(nothing(ROWS, *W), *steps, reset_BT, chunk=CHUNK)


def single(x: Arrays, name: str) -> jax.Array:
  return x[name][:, :, 0]


def select(x: Arrays, reset_BT: jax.Array) -> Any:
  dt = -single(x, 'log_decay')
  steps = dt, single(x, 'q'), single(x, 'v'), single(x, 'v')
  a = -jnp.abs(x['kernel'][:, :VALUE])
  return selective(zeros(KEY, VALUE), *steps, a, reset_BT)


def units(x: Arrays, reset_BT: jax.Array) -> Any:
  return diagonal(zeros(KEY), single(x, 'decay'), single(x, 'q'), reset_BT)


def turning(x: Arrays, reset_BT: jax.Array) -> Any:
  decay, angle = single(x, 'decay'), single(x, 'angle')
  inputs = jnp.stack([single(x, 'q'), single(x, 'k')], axis=-1)
  return rotating(zeros(KEY, 2), decay, angle, inputs, reset_BT)


def short(x: Arrays, reset_BT: jax.Array) -> Any:
  return convolve(zeros(3, KEY), single(x, 'q'), x['kernel'], reset_BT)


OPS: list[Callable[[Arrays, jax.Array], Any]] = [
  add_heads,
  correct_channels,
  dplr_channels,
  attend,
  taylor,
  solve,
  by_level,
  by_level_corrected,
  gated,
  select,
  units,
  turning,
  short,
]


@pytest.mark.slow
@pytest.mark.parametrize('op', OPS)
def test_sums_are_float32_and_gradients_finite(
  op: Callable[[Arrays, jax.Array], Any],
) -> None:
  reset_BT = resets()

  @jax.jit
  def both(x: Arrays) -> tuple[Any, Arrays]:
    outputs, back = jax.vjp(lambda x: op(x, reset_BT), x)
    ones = jax.tree.map(jnp.ones_like, outputs)
    return outputs, back(ones)[0]

  inputs = draw()
  exact = jax.tree.map(lambda a: a.astype(jnp.float32), inputs)
  (short_, grads), (long, expected) = both(inputs), both(exact)
  # Only a convolution's outputs have the type of its inputs.
  tolerance = 1e-2 if op is short else 1e-5

  def close(one: jax.Array, other: jax.Array, rounded: float) -> None:
    size = float(jnp.abs(other).max())
    one = one.astype(jnp.float32)
    np.testing.assert_allclose(one, other, rtol=0, atol=rounded * size)

  jax.tree.map(lambda a, b: close(a, b, tolerance), short_, long)
  for leaf in jax.tree.leaves(grads):
    assert leaf.dtype == jnp.bfloat16
    assert jnp.isfinite(leaf).all()
  jax.tree.map(lambda a, b: close(a, b, 2e-2), grads, expected)
