"""Windows against literal matrices, tiles against float64, and no T x T."""

from collections.abc import Iterator
import functools
import math
from typing import Any, NamedTuple

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
from memjax.ops.scores import skew

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
  assert skew(by_distance, 2, 4)[0, 0, 0].tolist() == [
    [2, 1, 0, 0],
    [0, 5, 4, 3],
  ]
  assert skew(by_distance, 3, 5)[0, 0, 0].tolist() == [
    [0, 2, 1, 0, 0],
    [0, 0, 5, 4, 3],
  ]
  # One key before it: query 0 cannot be 2 away; entries after 0 are no scores.
  short = skew(by_distance, 1, 3)[0, 0, 0]
  assert short[0, :2].tolist() == [1, 0]
  assert short[1].tolist() == [5, 4, 3]


class Case(NamedTuple):
  """Sizes, and what the rows remember.

  Attributes:
    length: T.
    slots: M.
    window: keys before its own that a query sees.
    heads: H, of the queries.
    key_heads: G.
    relative: g, heads of the keys by distance; 0: no score by distance.
    chunk: the least number of queries of a tile.
    count_B: filled slots.
    resets: rows and steps that begin a run.
    decay: whether heads forget.
    sinks: whether heads may see nothing.
  """

  length: int
  slots: int
  window: int
  heads: int
  key_heads: int
  relative: int
  chunk: int
  count_B: tuple[int, int]
  resets: tuple[tuple[int, int], ...]
  decay: bool = False
  sinks: bool = False


EMPTY = ((0, 0), (1, 0))
CASES = {
  'heads share keys': Case(13, 3, 3, 4, 1, 0, 4, (3, 1), ((0, 2),)),
  'a score by distance': Case(13, 3, 3, 2, 2, 2, 4, (3, 1), ((0, 2), (1, 0))),
  'shared distances': Case(7, 3, 3, 4, 2, 1, 64, (0, 0), EMPTY),
  'a filled memory': Case(40, 64, 64, 2, 2, 2, 16, (64, 20), ((0, 7),)),
  'a memory that is skipped': Case(40, 64, 64, 2, 2, 2, 16, (64, 9), EMPTY),
  'one row reads it': Case(40, 64, 64, 2, 2, 2, 16, (64, 20), ((0, 0),)),
  'many tiles': Case(100, 8, 8, 2, 2, 2, 8, (8, 0), ((0, 7), (1, 50))),
  'a window over the segment': Case(
    *(70, 30, 99, 2, 2, 2, 16, (30, 0), ((0, 7),))
  ),
  'heads forget': Case(
    *(40, 64, 64, 4, 2, 0, 16, (64, 20), ((0, 7), (0, 8))), decay=True
  ),
  'heads see nothing': Case(
    *(100, 8, 8, 4, 2, 1, 8, (8, 0), ((0, 7),)), decay=True, sinks=True
  ),
  'itself alone': Case(7, 1, 0, 2, 2, 2, 2, (1, 1), ()),
  'one slot': Case(7, 1, 1, 2, 2, 2, 2, (1, 0), ((0, 3),)),
}


def literal(
  case: Case,
  run_BS: np.ndarray,
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  p: jax.Array,
  r: jax.Array,
  g: jax.Array,
  c: jax.Array,
) -> jax.Array:
  """Attention as it is defined: all pairs, and a look-up of each distance."""
  share = case.heads // case.key_heads
  k, v = jnp.repeat(k, share, 2), jnp.repeat(v, share, 2)
  place_T = case.slots + np.arange(case.length)
  distance_TS = place_T[:, None] - np.arange(case.slots + case.length)[None]
  near_TS = (distance_TS >= 0) & (distance_TS <= case.window)
  seen = near_TS & (run_BS[:, place_T, None] == run_BS[:, None])
  scores = jnp.einsum('bthk,bshk->bhts', q, k)
  if case.relative:
    r = jnp.repeat(r, case.heads // case.relative, 1)
    r_TSHP = r[np.clip(distance_TS, 0, case.window)]
    scores += jnp.einsum('bthp,tshp->bhts', p, r_TSHP)
  if case.decay:
    later = np.arange(seen.shape[2])
    after_TSU = (later > later[:, None]) & (later <= place_T[:, None, None])
    scores += jnp.einsum('buh,tsu->bhts', g, after_TSU.astype(g.dtype))
  scores = jnp.where(seen[:, None], scores, -jnp.inf)
  if case.sinks:
    nothing = jnp.broadcast_to(c[None, :, None, None], (*scores.shape[:3], 1))
    scores = jnp.concatenate([scores, nothing], axis=-1)
  weights = jax.nn.softmax(scores, axis=-1)[..., : seen.shape[2]]
  return jnp.einsum('bhts,bshv->bthv', weights, v)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('name', 'rows'),
  [(name, 2) for name in CASES]
  + [('one row reads it', 1), ('heads see nothing', 1)],
)
def test_values_and_gradients_are_those_of_float64(
  name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(attention, '_rows_at_once', lambda *_: rows)
  case = CASES[name]
  rng = np.random.default_rng(0)
  keys, heads = case.slots + case.length, case.heads
  shapes = (
    (2, case.length, heads, 5),
    (2, keys, case.key_heads, 5),
    (2, keys, case.key_heads, 6),
    (2, case.length, heads, 3),
    (case.window + 1, max(case.relative, 1), 3),
    (2, keys, heads),
    (heads,),
  )
  arrays = [rng.normal(size=shape) for shape in shapes]
  arrays[5] = -np.exp(arrays[5])  # logarithms of decays
  weights = rng.normal(size=(2, case.length, heads, 6))
  reset_BT = np.zeros((2, case.length), bool)
  for place in case.resets:
    reset_BT[place] = True
  count_B = jnp.array(case.count_B, jnp.int32)
  run_BS = run_ids(count_B, case.slots, jnp.asarray(reset_BT))

  def tiled(
    q: Any, k: Any, v: Any, p: Any, r: Any, g: Any, c: Any
  ) -> jax.Array:
    return windowed_attention(
      *(q, k, v, run_BS, case.window),
      relative=(p, r) if case.relative else None,
      log_decay_BSH=g if case.decay else None,
      sinks_H=c if case.sinks else None,
      chunk=case.chunk,
    )

  def results(attend: Any, dtype: Any) -> Any:
    def loss(*arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
      y = attend(*arrays)
      return (y * weights.astype(dtype)).sum(), y

    grad = jax.jit(jax.grad(loss, argnums=range(len(arrays)), has_aux=True))
    return jax.device_get(grad(*(a.astype(dtype) for a in arrays)))

  with jax.enable_x64(True):
    runs = np.asarray(run_BS)
    exact = results(functools.partial(literal, case, runs), np.float64)
  for one, other in zip(
    *map(jax.tree.leaves, (results(tiled, np.float32), exact)), strict=True
  ):
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def test_rows_are_read_together_as_their_tiles_fit_in_the_cache(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  rows = attention._rows_at_once
  assert rows(12, attention.CACHED, None) == 12  # the tests have eight devices
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  assert rows(12, attention.LEAST_CACHED - 1, None) == 12
  assert rows(12, attention.CACHED // 2, None) == 2
  assert rows(12, attention.CACHED + 1, None) == 1
  assert rows(12, attention.CACHED + 1, 'by distance') == 12


def test_replicas_skip_the_memory_together() -> None:
  """A choice of each replica would be both ways, and a selection."""
  case = CASES['a memory that is skipped']
  shape = 3, 2, case.slots + case.length
  x, run = jnp.zeros((*shape, 1, 4)), jnp.zeros(shape, jnp.int32)

  def attend(x: jax.Array, run_BS: jax.Array) -> jax.Array:
    return windowed_attention(x[:, case.slots :], x, x, run_BS, case.window)

  program = jax.make_jaxpr(jax.vmap(attend))(x, run).jaxpr
  assert 'cond' in {step.primitive.name for step in steps(program)}


def steps(jaxpr: Any) -> Iterator[Any]:
  """Every equation of a program, those of its parts included."""
  for equation in jaxpr.eqns:
    yield equation
    for value in jax.tree.leaves(list(equation.params.values())):
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
def test_memory_grows_with_time_not_with_its_square(layer: Any) -> None:
  assert largest(layer, 4096) <= 2 * largest(layer, 2048)
  assert largest(layer, 4096) < 4096 * 4096 / 8


def test_no_array_of_all_queries_and_keys_with_the_papers_window() -> None:
  layer = TransformerXL(8, 4, 64, 'segment')
  assert largest(layer, 1024) < 1024 * 1024 / 4


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
