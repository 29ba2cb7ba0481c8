"""Values and gradients of chunked operations against plain loops, in float64.

The loops are JAX, which differentiates them by itself. Rows are reset twice in
a row, at the border of two chunks and within chunks.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.dplr import dplr
from memjax.ops.fenwick import add_levels, correct_levels
from memjax.ops.mesa import regress
from memjax.ops.slots import attend_slots
from memjax.ops.taylor import add_taylor, features, number_of_features

ROWS, STEPS, HEADS, KEY, VALUE, SLOTS, LEVELS, CHUNK = 2, 13, 1, 3, 2, 4, 3, 4
Arrays = dict[str, jax.Array]
RESET = np.zeros((ROWS, STEPS), bool)
RESET[0, [4, 5, 10]] = RESET[1, [0, 8]] = True


def draw() -> Arrays:
  """Decays are from 1 to exp(-20), of channels and slots to exp(-4.9)."""
  rng = np.random.default_rng(0)
  step = ROWS, STEPS, HEADS
  square = rng.normal(size=(ROWS, HEADS, KEY, KEY))
  arrays = {
    'q': rng.normal(size=(*step, KEY)),
    'k': 0.5 * rng.normal(size=(*step, KEY)),
    'v': rng.normal(size=(*step, VALUE)),
    'e': 0.5 * rng.normal(size=(*step, KEY)),
    'b': 0.5 * rng.normal(size=(*step, KEY)),
    'share': rng.random((*step, SLOTS)),
    'beta': rng.random(step),
    'levels': rng.random((*step, LEVELS + 1)),
    'channels': -4.9 * rng.random((*step, KEY)) ** 4,
    'slots': -4.9 * rng.random((*step, SLOTS)) ** 4,
    'log_decay': -rng.choice([0.0, 0.1, 1.0, 20.0], step),
    'penalty': 0.25 + rng.random((HEADS, KEY)),
    'w': rng.normal(size=(ROWS, HEADS, KEY, VALUE)),
    'of_slots': rng.normal(size=(ROWS, HEADS, SLOTS, KEY)),
    'of_values': rng.normal(size=(ROWS, HEADS, SLOTS, VALUE)),
    'of_levels': rng.normal(size=(ROWS, LEVELS, HEADS, KEY, VALUE)),
    'gram': square @ square.swapaxes(2, 3),
    'taylor': rng.normal(size=(ROWS, HEADS, number_of_features(KEY), VALUE)),
  }
  return {n: jnp.asarray(x) for n, x in arrays.items()}


def kept(state: jax.Array, t: int) -> jax.Array:
  """The state before step t is written: 0 in rows that are reset."""
  rows = RESET[:, t].reshape(ROWS, *(1,) * (state.ndim - 1))
  return jnp.where(jnp.asarray(rows), 0, state)


def outer(a: jax.Array, b: jax.Array) -> jax.Array:
  return a[..., :, None] * b[..., None, :]


def read(w: jax.Array, q: jax.Array) -> jax.Array:
  return jnp.einsum('BHKV,BHK->BHV', w, q)


def loop_dplr(x: Arrays) -> jax.Array:
  w, ys = x['w'], []
  for t in range(STEPS):
    w = jnp.exp(x['channels'][:, t])[..., None] * kept(w, t)
    w -= outer(x['b'][:, t], read(w, x['e'][:, t]))
    w += outer(x['k'][:, t], x['v'][:, t])
    ys.append(read(w, x['q'][:, t]))
  return jnp.stack(ys, 1)


def loop_slots(x: Arrays) -> jax.Array:
  a, b, ys = x['of_slots'], x['of_values'], []
  for t in range(STEPS):
    decay, share = jnp.exp(x['slots'][:, t])[..., None], x['share'][:, t]
    a = decay * kept(a, t) + outer(share, x['k'][:, t])
    b = decay * kept(b, t) + outer(share, x['v'][:, t])
    p = jax.nn.softmax(jnp.einsum('BHMK,BHK->BHM', a, x['q'][:, t]))
    ys.append(read(b, p))
  return jnp.stack(ys, 1)


def loop_taylor(x: Arrays) -> jax.Array:
  w, ys = x['taylor'], []
  for t in range(STEPS):
    w = kept(w, t) + outer(features(x['k'][:, t]), x['v'][:, t])
    ys.append(read(w, features(x['q'][:, t])))
  return jnp.stack(ys, 1)


def symmetric(x: Arrays) -> jax.Array:
  return (x['gram'] + jnp.swapaxes(x['gram'], 2, 3)) / 2


def loop_mesa(x: Arrays) -> jax.Array:
  g, r, ys = symmetric(x), x['w'], []
  for t in range(STEPS):
    decay = jnp.exp(x['log_decay'][:, t])[..., None, None]
    k = x['k'][:, t]
    key = x['beta'][:, t, :, None] * k
    g = decay * kept(g, t) + outer(key, k)
    r = decay * kept(r, t) + outer(key, x['v'][:, t])
    whole = g + (x['penalty'][..., None] * jnp.eye(KEY)[None])[None]
    solved = jnp.linalg.solve(whole, x['q'][:, t, ..., None])[..., 0]
    ys.append(read(r, solved))
  return jnp.stack(ys, 1)


def loop_levels(x: Arrays, corrects: bool = False) -> jax.Array:
  """Levels that merge one by one, as the binary count of the steps carries."""
  states, count, ys = list(jnp.moveaxis(x['of_levels'], 1, 0)), [8] * ROWS, []
  for t in range(STEPS):
    decay = jnp.exp(x['log_decay'][:, t])[..., None, None]
    states = [decay * kept(w, t) for w in states]
    if corrects:
      k, e = x['k'][:, t], x['e'][:, t]
      states = [w - outer(k, read(w, e)) for w in states]
    count = [0 if RESET[b, t] else count[b] for b in range(ROWS)]
    own = outer(x['k'][:, t], x['v'][:, t])
    weight = x['levels'][:, t]
    y = weight[..., :1] * read(own, x['q'][:, t])
    for i, w in enumerate(states):
      y += weight[..., i + 1 : i + 2] * read(w, x['q'][:, t])
    ys.append(y)
    after = [jnp.zeros_like(w) for w in states]
    for b in range(ROWS):
      top = min((count[b] ^ (count[b] + 1)).bit_length(), LEVELS)
      for i, w in enumerate([own, *states]):
        level = max(i, top) - 1
        after[level] = after[level].at[b].add(w[b])
    states, count = after, [n + 1 for n in count]
  return jnp.stack(ys, 1)


def ours_dplr(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v'], x['e'], x['b']
  decay = x['channels']
  return dplr(x['w'], *steps, reset_BT, log_decay=decay, chunk=CHUNK)[1]


def ours_slots(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v'], x['share'], x['slots']
  slots = x['of_slots'], x['of_values']
  return attend_slots(*slots, *steps, reset_BT, chunk=CHUNK)[2]


def ours_taylor(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v']
  return add_taylor(x['taylor'], *steps, reset_BT, chunk=CHUNK)[1]


def ours_mesa(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v'], x['beta'], x['penalty']
  decay = x['log_decay']
  before = symmetric(x), x['w']
  return regress(
    *before, *steps, reset_BT, log_decay=decay, chunk=CHUNK, iterations=12
  )[2]


def ours_levels(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v'], x['levels']
  before = x['of_levels'], jnp.full(ROWS, 8, jnp.int32)
  decay = x['log_decay']
  return add_levels(*before, *steps, reset_BT, log_decay=decay, chunk=CHUNK)[1]


def ours_corrected(x: Arrays, reset_BT: jax.Array) -> jax.Array:
  steps = x['q'], x['k'], x['v'], x['e'], x['levels']
  before = x['of_levels'], jnp.full(ROWS, 8, jnp.int32)
  decay = x['log_decay']
  return correct_levels(
    *before, *steps, reset_BT, log_decay=decay, chunk=CHUNK
  )[1]


def loop_corrected(x: Arrays) -> jax.Array:
  return loop_levels(x, corrects=True)


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
  'dplr': (ours_dplr, loop_dplr),
  'slots': (ours_slots, loop_slots),
  'taylor': (ours_taylor, loop_taylor),
  'mesa': (ours_mesa, loop_mesa),
  'levels': (ours_levels, loop_levels),
  'corrected levels': (ours_corrected, loop_corrected),
}


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_they_are_those_of_the_loop(case: str) -> None:
  ours, loop = CASES[case]
  with jax.enable_x64(True):
    inputs, reset_BT = draw(), jnp.asarray(RESET)
    shape = ROWS, STEPS, HEADS, VALUE
    weight = jnp.asarray(np.random.default_rng(1).normal(size=shape))

    @jax.jit
    def both(inputs: Arrays) -> list[tuple[jax.Array, Arrays]]:
      found = []
      for f in (lambda x: ours(x, reset_BT), loop):
        y, back = jax.vjp(f, inputs)
        found.append((y, back(weight)[0]))
      return found

    (y, grads), (expected, of_loop) = both(inputs)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
    for name, grad in of_loop.items():
      np.testing.assert_allclose(
        grads[name], grad, rtol=1e-8, atol=1e-8, err_msg=name
      )


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_any_length_has_the_values_of_the_loop(case: str) -> None:
  ours, loop = CASES[case]
  with jax.enable_x64(True):
    inputs = draw()
    expected = jax.jit(loop)(inputs)
    for length in (1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
      some = {
        n: x[:, :length] if x.shape[1] == STEPS else x
        for n, x in inputs.items()
      }
      y = jax.jit(ours)(some, jnp.asarray(RESET[:, :length]))
      np.testing.assert_allclose(
        y, expected[:, :length], rtol=1e-9, atol=1e-9, err_msg=str(length)
      )
