"""Windows against literal matrices, chunks against no chunks, and no T x T."""

from collections.abc import Iterator
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.attention.transformer import (
  BlockAttention,
  SlidingAttention,
)
from memjax.models.attention.transformer_xl import TransformerXL
from memjax.ops import attention
from memjax.ops.attention import last_run, run_ids, windowed_attention

NO, YES = False, True


def seen(count: int, slots: int, resets: list[bool], window: int) -> Any:
  """Which keys the weights reach, read off the gradient of each query."""
  length = len(resets)
  run_BS = run_ids(
    jnp.array([count], jnp.int32), slots, jnp.array([resets], bool)
  )

  def average(v_S: jax.Array) -> jax.Array:
    q, k = jnp.zeros((1, length, 1, 1)), jnp.zeros((1, slots + length, 1, 1))
    v = v_S[None, :, None, None]
    return windowed_attention(q, k, v, run_BS, window)[0, :, 0, 0]

  weights = jax.jit(jax.jacobian(average))(jnp.zeros(slots + length))
  return (np.asarray(weights) > 0).astype(int).tolist()


def test_a_window_slides_over_memory_and_segment() -> None:
  assert seen(2, 2, [NO] * 4, 2) == [
    [1, 1, 1, 0, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 0, 1, 1, 1, 0],
    [0, 0, 0, 1, 1, 1],
  ]


def test_the_whole_past_where_the_window_is_longer() -> None:
  assert seen(2, 2, [NO] * 3, 4) == [
    [1, 1, 1, 0, 0],
    [1, 1, 1, 1, 0],
    [1, 1, 1, 1, 1],
  ]


def test_empty_slots_are_not_seen() -> None:
  assert seen(1, 3, [NO, NO], 3) == [[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]]
  assert seen(0, 2, [NO], 2) == [[0, 0, 1]]


def test_nothing_before_a_reset_is_seen() -> None:
  assert seen(2, 2, [NO, YES, NO, YES, NO], 2) == [
    [1, 1, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 0],
    [0, 0, 0, 1, 1, 0, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 1],
  ]


def test_run_ids_and_last_run() -> None:
  run_BS = run_ids(
    jnp.array([0, 1, 2], jnp.int32),
    2,
    jnp.array([[NO, NO, YES], [YES, NO, NO], [NO, NO, NO]]),
  )
  assert run_BS.tolist() == [
    [-1, -1, 0, 0, 1],
    [-1, 0, 1, 1, 1],
    [0, 0, 0, 0, 0],
  ]
  assert last_run(run_BS, 4).tolist() == [1, 3, 4]


def test_scores_by_distance_become_scores_by_key() -> None:
  by_distance = jnp.array([[[[[2, 1, 0], [5, 4, 3]]]]], jnp.float32)
  # Two keys before the first query, then three.
  assert attention._skew(by_distance, 2, 4)[0, 0, 0].tolist() == [
    [2, 1, 0, 0],
    [0, 5, 4, 3],
  ]
  assert attention._skew(by_distance, 3, 5)[0, 0, 0].tolist() == [
    [0, 2, 1, 0, 0],
    [0, 0, 5, 4, 3],
  ]
  # One key before it: query 0 cannot be 2 away; entries after 0 are no scores.
  short = attention._skew(by_distance, 1, 3)[0, 0, 0]
  assert short[0, :2].tolist() == [1, 0]
  assert short[1].tolist() == [5, 4, 3]


@pytest.mark.parametrize('length', [6, 7, 13])
@pytest.mark.parametrize('key_heads', [1, 2])
def test_chunks_change_nothing(length: int, key_heads: int) -> None:
  slots, batch, heads, width = 3, 2, 4, 5
  rng = np.random.default_rng(0)

  def draw(*shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  reset_BT = np.zeros((batch, length), bool)
  reset_BT[0, 2] = True
  run_BS = run_ids(jnp.array([3, 1], jnp.int32), slots, jnp.asarray(reset_BT))
  q, p = draw(batch, length, heads, width), draw(batch, length, heads, 2)
  k = draw(batch, slots + length, key_heads, width)
  v = draw(batch, slots + length, key_heads, 6)
  r = draw(slots + 1, 2, 2)

  def attend(chunk: int) -> jax.Array:
    def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
      relative = p, r
      return windowed_attention(q, k, v, run_BS, slots, relative, chunk=chunk)

    return jax.jit(attention)(q, k, v)

  whole, chunked = attend(64), attend(2)
  assert chunked.shape == (batch, length, heads, 6)
  np.testing.assert_allclose(chunked, whole, atol=1e-5)


def steps(jaxpr: Any) -> Iterator[Any]:
  """Every equation of a program, those of its parts included."""
  for equation in jaxpr.eqns:
    yield equation
    for value in equation.params.values():
      if hasattr(value, 'eqns') or hasattr(value, 'jaxpr'):
        yield from steps(getattr(value, 'jaxpr', value))


def test_the_softmax_is_taken_in_float32() -> None:
  x = jnp.zeros((1, 2, 1, 4), jnp.bfloat16)
  run_BS = jnp.zeros((1, 2), jnp.int32)
  program = jax.make_jaxpr(
    lambda x: windowed_attention(x, x, x, run_BS, 1, (x, x[0]))
  )(x)
  types = {
    (step.primitive.name, str(step.outvars[0].aval.dtype))
    for step in steps(program.jaxpr)
  }
  assert ('exp', 'float32') in types
  assert ('exp', 'bfloat16') not in types


def largest(layer: Any, length: int) -> int:
  """Numbers in the largest array of a layer's gradient; B = 1."""
  x = jnp.zeros((1, length, layer.width))
  reset_BT = jnp.zeros((1, length), bool)
  carry = layer.initial_carry(1)
  variables = jax.eval_shape(layer.init, jax.random.key(0), carry, x, reset_BT)

  def loss(variables: Any) -> jax.Array:
    return layer.apply(variables, carry, x, reset_BT)[1].sum()

  program = jax.make_jaxpr(jax.grad(loss))(variables).jaxpr
  shapes = (v.aval.shape for step in steps(program) for v in step.outvars)
  return max(map(math.prod, shapes))


@pytest.mark.parametrize(
  'layer',
  [
    BlockAttention(8, 4, 65),
    SlidingAttention(8, 4, 64),
    TransformerXL(8, 4, 64),
  ],
  ids=lambda layer: type(layer).__name__,
)
def test_memory_grows_with_the_window_not_with_the_square(layer: Any) -> None:
  assert largest(layer, 4096) <= 2 * largest(layer, 2048)
  assert largest(layer, 4096) < 4096 * 4096 / 8


def test_the_papers_window_is_seen_to_grow_with_the_square() -> None:
  layer = TransformerXL(8, 4, 64, 'segment')
  assert largest(layer, 1024) > 1024 * 1024


def test_one_step_projects_no_memory() -> None:
  """T = 1 costs B H M D, not the B M D D of projecting every slot."""
  width, memory = 64, 512

  def flops(heads: int) -> float:
    layer = TransformerXL(width, width // heads, memory)
    x, reset_BT = jnp.zeros((1, 1, width)), jnp.zeros((1, 1), bool)
    carry = layer.initial_carry(1)
    variables = jax.eval_shape(
      layer.init, jax.random.key(0), carry, x, reset_BT
    )
    step = jax.jit(layer.apply).lower(variables, carry, x, reset_BT).compile()
    cost = step.cost_analysis()
    assert cost is not None
    return cost['flops']

  assert flops(heads=2) < memory * width * width
