"""Recurrent cells over time, with the matrix products taken out of the loop.

A cell with state s = (h, ...) reads one step in two parts,

    a_t = merge(x_t W, h_(t-1) U) + b          linear; products of both sides
    s_t = step(s_(t-1), a_t)                   element by element

and h_t is its output. `recur` reads T steps in pieces. In each piece
x W is one product before the loop, and only h U is left inside it. The
backward loop forms no more than da_t and dh_(t-1) = dp_t U'; the gradients of
W, U, b and x are one product each after it. Kept for the backward pass: x, the
states before each step and a, nothing else; each step writes them where they
stay. Products over a piece stay in the cache, where those over all of T would
cost more in fresh memory than they save in calls.

Cost per step: B (F + D) G products, an H-th of it with H blocks; three times
that with the backward pass.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple, TypeAlias

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memjax.ops.products import columns, outer, product, transposed
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

PIECE = 16  # steps

State: TypeAlias = tuple[Float[Array, 'B D'], ...]


@dataclasses.dataclass(frozen=True)
class Cell:
  """The two halves of a recurrent cell; both are differentiated by JAX.

  Attributes:
    merge: (x_t W, h_(t-1) U) to the pre-activations, `(B, ...)` each; linear.
    step: (state, pre-activations) to the next state; mixes no rows.
    gates: pre-activations to the gates in them, by name; for looking.
    fresh: the value of each of the state's arrays at a reset; empty: all 0.
  """

  merge: Callable[[Array, Array], Array]
  step: Callable[[State, Array], State]
  gates: Callable[[Array], dict[str, Array]] = lambda a: {}
  fresh: tuple[float, ...] = ()


class Weights(NamedTuple):
  """What a cell learns; the widths of its products are the cell's choice.

  Attributes:
    input_FG: W, reads the inputs.
    recurrent_DG: U, reads the first array of the state.
    bias_G: b, as wide as what `merge` returns.
  """

  input_FG: Any
  recurrent_DG: Any
  bias_G: Any


def recur(
  cell: Cell,
  weights: Weights,
  state: State,
  x_BTF: Inputs_BTF,
  reset_BT: Reset_BT,
  *,
  mask_BD: Float[Array, 'B D'] | None = None,
  piece: int = PIECE,
) -> tuple[State, Sequence_BTD]:
  """Reads T steps; differentiable in weights, state and inputs, backwards only.

  Args:
    cell: what a step does.
    weights: their type is the type of the matrix products and of the outputs.
    state: before the first step, h first. Its type is that of everything else:
      pre-activations, states and the sums of gradients.
    x_BTF: the inputs.
    reset_BT: where the state is that of the cell's `fresh` before the step.
    mask_BD: a constant factor of h where U multiplies it.
    piece: the number of steps of a piece.

  Returns:
    The state after the last step, and h of every step.
  """
  dtype = weights.input_FG.dtype
  summed = jax.tree.map(lambda w: w.astype(state[0].dtype), weights)
  x_TBF = jnp.swapaxes(x_BTF, 0, 1).astype(dtype)
  reset_TB = reset_BT.T
  steps = len(x_TBF)
  whole = steps - steps % piece
  h = []
  for first, last, size in ((0, whole, piece), (whole, steps, steps - whole)):
    if first < last:
      x, reset = x_TBF[first:last], reset_TB[first:last]
      state, h_TBD = _read(cell, dtype, size, summed, state, x, reset, mask_BD)
      h.append(h_TBD)
  return state, jnp.swapaxes(jnp.concatenate(h), 0, 1).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _read(
  cell: Cell,
  dtype: Any,
  piece: int,
  weights: Weights,
  state: State,
  x_TBF: jax.Array,
  reset_TB: jax.Array,
  mask_BD: jax.Array | None,
) -> tuple[State, jax.Array]:
  """Whole pieces; gradients are summed in the type of the weights."""
  args = weights, state, x_TBF, reset_TB, mask_BD
  return _forward(cell, dtype, piece, *args)[0]


def _forward(
  cell: Cell,
  dtype: Any,
  piece: int,
  weights: Weights,
  state: State,
  x_TBF: jax.Array,
  reset_TB: jax.Array,
  mask_BD: jax.Array | None,
) -> tuple[tuple[State, jax.Array], Any]:
  input_FG = weights.input_FG.astype(dtype)
  recurrent_DG = weights.recurrent_DG.astype(dtype)
  steps, rows = reset_TB.shape

  def read_piece(number: int | jax.Array, loop: Any) -> Any:
    first = number * piece
    x_PBF, reset_PB = _cut((x_TBF, reset_TB), first, piece)
    z_PBG = product(x_PBF, input_FG, state[0].dtype)

    def read(step: int | jax.Array, loop: Any) -> Any:
      state, h_TBD, before, a_TBG = loop
      state = _forgotten(cell, reset_PB[step][:, None], state)
      now = first + step
      before = _put(before, state, now)
      p_BG = product(_masked(state[0], mask_BD), recurrent_DG)
      a_BG = cell.merge(z_PBG[step], p_BG) + weights.bias_G[None]
      state = cell.step(state, a_BG)
      return state, _put(h_TBD, state[0], now), before, _put(a_TBG, a_BG, now)

    return lax.fori_loop(0, piece, read, loop)

  def room(width: int) -> jax.Array:
    return lax.empty((steps, rows, width), state[0].dtype)

  before = tuple(room(v.shape[1]) for v in state)
  loop = state, room(state[0].shape[1]), before, room(weights.bias_G.size)
  loop = lax.fori_loop(0, steps // piece, read_piece, loop)
  last, h_TBD, before, a_TBG = loop
  return (last, h_TBD), (weights, x_TBF, reset_TB, mask_BD, before, a_TBG)


def _backward(
  cell: Cell, dtype: Any, piece: int, kept: Any, cotangents: Any
) -> tuple[Weights, State, jax.Array, None, None]:
  weights, x_TBF, reset_TB, mask_BD, before, a_TBG = kept
  d_last, d_h_TBD = cotangents
  input_GF = transposed(weights.input_FG.astype(dtype))
  recurrent_GD = transposed(weights.recurrent_DG.astype(dtype))
  steps, rows, _ = a_TBG.shape
  unmerge = jax.linear_transpose(
    cell.merge,
    jax.ShapeDtypeStruct((rows, columns(weights.input_FG)), a_TBG.dtype),
    jax.ShapeDtypeStruct((rows, columns(weights.recurrent_DG)), a_TBG.dtype),
  )

  def unread_piece(number: int | jax.Array, loop: Any) -> Any:
    d_state, d_weights, d_x_TBF, d_a_PBG = loop
    first = steps - piece - number * piece
    kept = x_TBF, reset_TB, d_h_TBD, a_TBG, before
    x_PBF, reset_PB, d_h_PBD, a_PBG, before_P = _cut(kept, first, piece)

    def unread(number: int | jax.Array, loop: Any) -> Any:
      d_state, d_a_PBG = loop
      step = piece - 1 - number
      now = tuple(v[step] for v in before_P)
      _, unstep = jax.vjp(cell.step, now, a_PBG[step])
      d_h_BD = d_state[0] + d_h_PBD[step]
      d_before, d_a_BG = unstep((d_h_BD, *d_state[1:]))
      _, d_p_BG = unmerge(d_a_BG)
      through_BD = _masked(product(d_p_BG, recurrent_GD), mask_BD)
      d_before = (d_before[0] + through_BD, *d_before[1:])
      d_state = _zeroed(reset_PB[step][:, None], d_before)
      return d_state, _put(d_a_PBG, d_a_BG, step)

    d_state, d_a_PBG = lax.fori_loop(0, piece, unread, (d_state, d_a_PBG))
    d_z_PBG, d_p_PBG = jax.vmap(unmerge)(d_a_PBG)
    h_PBD = before_P[0] if mask_BD is None else before_P[0] * mask_BD[None]
    more = (
      outer(x_PBF, d_z_PBG, weights.input_FG, dtype),
      outer(h_PBD, d_p_PBG, weights.recurrent_DG, dtype),
      d_a_PBG.sum((0, 1)),
    )
    d_weights = jax.tree.map(jnp.add, d_weights, Weights(*more))
    d_x_PBF = product(d_z_PBG, input_GF).astype(x_TBF.dtype)
    d_x_TBF = lax.dynamic_update_slice_in_dim(d_x_TBF, d_x_PBF, first, 0)
    return d_state, d_weights, d_x_TBF, d_a_PBG

  zeros = jax.tree.map(jnp.zeros_like, weights)
  d_x_TBF = lax.empty(x_TBF.shape, x_TBF.dtype)
  d_a_PBG = lax.empty((piece, *a_TBG.shape[1:]), a_TBG.dtype)
  loop = d_last, zeros, d_x_TBF, d_a_PBG
  loop = lax.fori_loop(0, steps // piece, unread_piece, loop)
  d_state, d_weights, d_x_TBF, _ = loop
  return d_weights, d_state, d_x_TBF, None, None


_read.defvjp(_forward, _backward)


def _masked(h_BD: jax.Array, mask_BD: jax.Array | None) -> jax.Array:
  return h_BD if mask_BD is None else h_BD * mask_BD


def _forgotten(cell: Cell, reset: jax.Array, state: State) -> State:
  fresh = cell.fresh or (0.0,) * len(state)
  return tuple(
    jnp.where(reset, jnp.asarray(value, v.dtype), v)
    for value, v in zip(fresh, state, strict=True)
  )


def _zeroed(reset: jax.Array, state: State) -> State:
  return tuple(jnp.where(reset, jnp.zeros((), v.dtype), v) for v in state)


def _cut(tree_T: Any, first: int | jax.Array, size: int) -> Any:
  """Steps from the first on."""
  cut = functools.partial(lax.dynamic_slice_in_dim, slice_size=size)
  return jax.tree.map(lambda v: cut(v, first), tree_T)


def _put(tree_T: Any, values: Any, step: int | jax.Array) -> Any:
  """Writes one step, in place."""
  put = functools.partial(lax.dynamic_update_index_in_dim, axis=0)
  return jax.tree.map(lambda v, now: put(v, now, step), tree_T, values)
