"""Allocation and temporal links against literal values and float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops import allocation

ROWS, HEADS, SLOTS = 2, 3, 5


def row(*values: float) -> jax.Array:
  return jnp.asarray([values], jnp.float32)


def slots_by_usage(usage: np.ndarray) -> np.ndarray:
  return np.argsort(usage + allocation.TIE * np.arange(len(usage)))


def weightings(rng: np.random.Generator, *shape: int) -> np.ndarray:
  """Random weights over the last axis that sum to at most 1."""
  raw = rng.random(shape) ** 4
  return raw / raw.sum(-1, keepdims=True) * rng.random((*shape[:-1], 1))


def float32(x: np.ndarray) -> jax.Array:
  return jnp.asarray(x, jnp.float32)


def allocate(usage: np.ndarray) -> np.ndarray:
  """The definition in the paper, slot by slot."""
  weights, left = np.zeros(len(usage)), 1.0
  for slot in slots_by_usage(usage):
    weights[slot] = (1 - usage[slot]) * left
    left *= usage[slot]
  return weights


def allocate_gradient(usage: np.ndarray) -> np.ndarray:
  """d weights[i] / d usage[j], for a fixed order."""
  order = list(slots_by_usage(usage))
  d = np.zeros((len(usage), len(usage)))
  for place, i in enumerate(order):
    before = order[:place]
    d[i, i] = -np.prod(usage[before])
    for j in before:
      others = [k for k in before if k != j]
      d[i, j] = (1 - usage[i]) * np.prod(usage[others])
  return d


# Allocation


@pytest.mark.parametrize(
  ('usage', 'weights'),
  [
    ([0.5, 0.2, 0.9], [0.1, 0.8, 0.01]),
    ([0, 0, 0], [1, 0, 0]),
    ([1, 0, 1], [0, 1, 0]),
    ([1, 1, 1], [0, 0, 0]),
    ([0.5, 0.5, 0.25], [0.125, 0.0625, 0.75]),
    ([0.3], [0.7]),
  ],
)
def test_the_least_used_slot_comes_first(
  usage: list[float], weights: list[float]
) -> None:
  got = allocation.allocation_weights(row(*usage))
  np.testing.assert_allclose(got, row(*weights), atol=1e-7)


USAGES = [
  [0.0, 0.0, 0.0, 0.0],
  [0.0, 0.7, 0.0, 1.0],
  [0.9, 0.0, 0.4, 0.6],
  [1.0, 1.0, 1.0, 1.0],
  [0.35, 0.99, 0.01, 0.5],
]


@pytest.mark.parametrize('usage', USAGES)
def test_allocation_and_its_gradient_are_those_of_a_loop(
  usage: list[float],
) -> None:
  expected = np.asarray(usage)
  weights = allocation.allocation_weights(row(*usage))[0]
  np.testing.assert_allclose(weights, allocate(expected), atol=1e-6)
  gradient = jax.jacobian(allocation.allocation_weights)(row(*usage))
  np.testing.assert_allclose(
    gradient[0, :, 0], allocate_gradient(expected), atol=1e-5
  )


def test_round_off_does_not_say_which_of_equal_slots_is_next() -> None:
  usage = np.full((1, 9), 0.75, np.float32)
  usage[0, ::2] = np.nextafter(usage[0, 0], np.float32(0))
  got = allocation.allocation_weights(jnp.asarray(usage))
  expected = [[0.25 * 0.75**slot for slot in range(9)]]
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_slots_of_one_rank_stand_in_the_order_of_their_numbers() -> None:
  got = allocation.allocation_weights(row(allocation.TIE, 0))
  np.testing.assert_allclose(got, row(1, 0), atol=1e-5)


def test_many_slots_are_allocated_as_by_a_loop() -> None:
  """The product of many small usages is neither NaN nor 1."""
  usage = np.random.default_rng(0).random((ROWS, 200)) ** 8
  usage[:, ::7] = 0
  usage = usage.astype(np.float32)
  got = allocation.allocation_weights(jnp.asarray(usage))
  expected = [allocate(u.astype(np.float64)) for u in usage]
  np.testing.assert_allclose(got, expected, atol=1e-6)


def test_usage_is_that_of_a_loop_and_stays_in_its_bounds() -> None:
  rng = np.random.default_rng(1)
  usage = np.zeros((ROWS, SLOTS))
  got = float32(usage)
  for _ in range(20):
    write = weightings(rng, ROWS, SLOTS)
    read = weightings(rng, ROWS, HEADS, SLOTS)
    free = rng.random((ROWS, HEADS))
    for b in range(ROWS):
      for m in range(SLOTS):
        kept = 1.0
        for h in range(HEADS):
          kept *= 1 - free[b, h] * read[b, h, m]
        u, w = usage[b, m], write[b, m]
        usage[b, m] = (u + w - u * w) * kept
    kept_BM = allocation.retention(float32(free), float32(read))
    got = allocation.usage(got, float32(write), kept_BM)
    np.testing.assert_allclose(got, usage, atol=1e-6)
    assert (got >= 0).all()
    assert (got <= 1).all()
    total = allocation.allocation_weights(got).sum(axis=1)
    assert (total <= 1 + 1e-6).all()


def test_a_weighting_beyond_1_by_round_off_leaves_usage_in_its_bounds() -> None:
  beyond = np.nextafter(np.float32(1), np.float32(2))
  kept = allocation.retention(row(1.0), row(beyond, 0.0)[:, None])
  used = allocation.usage(row(1.0, beyond), row(0.0, 0.0), kept)
  np.testing.assert_array_equal(used, row(0, 1))
  assert np.isfinite(allocation.allocation_weights(used)).all()


def test_a_write_goes_where_the_gates_say() -> None:
  allocated, content = row(1, 0, 0), row(0.2, 0.2, 0.6)
  gates = jnp.asarray([0.5]), jnp.asarray([0.25])
  got = allocation.write_weights(*gates, allocated, content)
  np.testing.assert_allclose(got, row(0.2, 0.075, 0.225), atol=1e-7)


# Links


def link(link: np.ndarray, last: np.ndarray, write: np.ndarray) -> np.ndarray:
  after = np.zeros_like(link)
  for i in range(len(write)):
    for j in range(len(write)):
      if i != j:
        kept = (1 - write[i] - write[j]) * link[i, j]
        after[i, j] = kept + write[i] * last[j]
  return after


def test_three_sharp_writes_are_linked_in_their_order() -> None:
  links, last = jnp.zeros((1, 3, 3)), jnp.zeros((1, 3))
  for slot in (2, 0, 1):
    write = jnp.zeros((1, 3)).at[0, slot].set(1)
    links = allocation.links(links, last, write)
    last = allocation.precedence(last, write)
  np.testing.assert_array_equal(links[0], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
  np.testing.assert_array_equal(last, row(0, 1, 0))
  at_slot_0 = row(1, 0, 0)[:, None]
  forward = allocation.forward_weights(links, at_slot_0)
  backward = allocation.backward_weights(links, at_slot_0)
  np.testing.assert_array_equal(forward[:, 0], row(0, 1, 0))
  np.testing.assert_array_equal(backward[:, 0], row(0, 0, 1))


def test_links_are_those_of_a_loop_and_keep_their_invariants() -> None:
  rng = np.random.default_rng(2)
  links = np.zeros((ROWS, SLOTS, SLOTS))
  last = np.zeros((ROWS, SLOTS))
  got_links, got_last = float32(links), float32(last)
  for _ in range(20):
    write = weightings(rng, ROWS, SLOTS)
    links = np.stack(
      [link(*now) for now in zip(links, last, write, strict=True)]
    )
    last = (1 - write.sum(1, keepdims=True)) * last + write
    got_links = allocation.links(got_links, got_last, float32(write))
    got_last = allocation.precedence(got_last, float32(write))
    np.testing.assert_allclose(got_links, links, atol=1e-6)
    np.testing.assert_allclose(got_last, last, atol=1e-6)
    for axis in (1, 2):
      assert (got_links.sum(axis) <= 1 + 1e-6).all()
    assert (got_links >= 0).all()
    assert (got_last.sum(1) <= 1 + 1e-6).all()
    diagonal = jnp.diagonal(got_links, axis1=1, axis2=2)
    np.testing.assert_array_equal(diagonal, np.zeros((ROWS, SLOTS)))


def test_directions_are_those_of_a_loop() -> None:
  rng = np.random.default_rng(3)
  links = rng.random((ROWS, SLOTS, SLOTS))
  read = weightings(rng, ROWS, HEADS, SLOTS)
  forward, backward = np.zeros_like(read), np.zeros_like(read)
  for b, h, i, j in np.ndindex(ROWS, HEADS, SLOTS, SLOTS):
    forward[b, h, i] += links[b, i, j] * read[b, h, j]
    backward[b, h, i] += links[b, j, i] * read[b, h, j]
  arguments = float32(links), float32(read)
  np.testing.assert_allclose(
    allocation.forward_weights(*arguments), forward, atol=1e-6
  )
  np.testing.assert_allclose(
    allocation.backward_weights(*arguments), backward, atol=1e-6
  )


def test_gradients_are_finite_where_nothing_has_been_written() -> None:
  """Usage at its bound still has a gradient."""

  def step(state: jax.Array, read_BHM: jax.Array) -> jax.Array:
    kept = allocation.retention(jnp.ones((ROWS, HEADS)) / 2, read_BHM)
    used = allocation.usage(state, state, kept)
    weights = allocation.allocation_weights(used)
    last = allocation.precedence(state, weights)
    links = jnp.zeros((ROWS, SLOTS, SLOTS))
    links = allocation.links(links, last, weights)
    forward = allocation.forward_weights(links, read_BHM)
    back = allocation.backward_weights(links, read_BHM)
    return (used + weights + last).sum() + jnp.sin(forward + back).sum()

  zeros = jnp.zeros((ROWS, SLOTS)), jnp.zeros((ROWS, HEADS, SLOTS))
  for gradient in jax.grad(step, argnums=(0, 1))(*zeros):
    assert np.isfinite(gradient).all()
  of_usage = jax.grad(lambda u: allocation.usage(u, u, u + 1).sum())(zeros[0])
  np.testing.assert_array_equal(of_usage, 2 * np.ones((ROWS, SLOTS)))
