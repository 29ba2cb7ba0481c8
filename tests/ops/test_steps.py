"""A walk over time against a loop."""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.ops.steps import walk


def test_walk_is_a_loop_that_forgets() -> None:
  rng = np.random.default_rng(0)
  x_BTF = rng.normal(size=(3, 7, 2)).astype(np.float32)
  reset_BT = rng.random((3, 7)) < 0.3
  start = rng.normal(size=(3, 2)).astype(np.float32)

  def step(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return 0.5 * carry + x, carry * x

  fresh = jnp.ones((3, 2), jnp.float32)
  carry, y = walk(step, fresh, jnp.asarray(start), x_BTF, jnp.asarray(reset_BT))
  for b in range(3):
    state = start[b]
    for t in range(7):
      state = np.ones(2, np.float32) if reset_BT[b, t] else state
      np.testing.assert_allclose(y[b, t], state * x_BTF[b, t], rtol=1e-6)
      state = np.float32(0.5) * state + x_BTF[b, t]
    np.testing.assert_allclose(carry[b], state, rtol=1e-6)


def test_a_walk_keeps_what_is_forgotten_once_a_row() -> None:
  """The backward pass needs T x B resets, not one for every number."""
  start, fresh = jnp.ones((3, 2, 5)), jnp.zeros((3, 2, 5))
  reset_BT = jnp.zeros((3, 7), bool)

  def step(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return 0.5 * carry + x[:, None], x

  _, back = jax.vjp(
    lambda start: walk(step, fresh, start, jnp.ones((3, 7, 5)), reset_BT), start
  )
  kept = [leaf.shape for leaf in jax.tree.leaves(back)]
  assert kept == [(7, 3)], kept
