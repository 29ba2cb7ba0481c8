"""Recurrent cells over time, with the matrix products taken out of the loop.

A cell with state s = (h, ...) reads one step in two parts,

    a_t = merge(x_t W, h_(t-1) U) + b          linear; products of both sides
    s_t = step(s_(t-1), a_t)                   element by element

and h_t is its output. `recur` reads T steps in pieces. In each piece
x W is one product before the loop, and only h U is left inside it. The
backward loop forms no more than da_t and dh_(t-1) = dp_t U'; the gradients of
W, U, b and x are one product each after it. Kept for the backward pass: x, the
states and a, nothing else. Products over a piece stay in the cache, where those
over all of T would cost more in fresh memory than they save in calls.

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
  read = functools.partial(_read, cell, dtype, summed)
  x_TBF = jnp.swapaxes(x_BTF, 0, 1).astype(dtype)
  reset_TB1 = reset_BT.T[:, :, None]
  steps = reset_TB1.shape[0]
  whole = steps - steps % piece

  def pieces(v: jax.Array) -> jax.Array:
    return v[:whole].reshape(-1, piece, *v.shape[1:])

  h = []
  if whole:
    state, h_PTBD = lax.scan(
      lambda state, x: read(state, *x, mask_BD),
      state,
      (pieces(x_TBF), pieces(reset_TB1)),
    )
    h.append(h_PTBD.reshape(-1, *h_PTBD.shape[2:]))
  if whole < steps:
    state, h_TBD = read(state, x_TBF[whole:], reset_TB1[whole:], mask_BD)
    h.append(h_TBD)
  return state, jnp.swapaxes(jnp.concatenate(h), 0, 1).astype(dtype)


def preactivations(
  cell: Cell,
  weights: Weights,
  state: State,
  x_BTF: Inputs_BTF,
  h_BTD: Sequence_BTD,
  reset_BT: Reset_BT,
) -> Float[Array, 'B T G']:
  """a of all steps again, from the inputs of `recur` and the h it returned."""
  before_BTD = jnp.concatenate([state[0][:, None], h_BTD[:, :-1]], axis=1)
  before_BTD = jnp.where(reset_BT[..., None], 0, before_BTD)
  z_BTG, p_BTG = (
    product(v, kernel, state[0].dtype)
    for v, kernel in (
      (x_BTF, weights.input_FG),
      (before_BTD, weights.recurrent_DG),
    )
  )
  return jax.vmap(cell.merge)(z_BTG, p_BTG) + weights.bias_G[None, None]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _read(
  cell: Cell,
  dtype: Any,
  weights: Weights,
  state: State,
  x_TBF: jax.Array,
  reset_TB1: jax.Array,
  mask_BD: jax.Array | None,
) -> tuple[State, jax.Array]:
  """One piece. The weights come in the type their gradients are summed in."""
  return _forward(cell, dtype, weights, state, x_TBF, reset_TB1, mask_BD)[0]


def _forward(
  cell: Cell,
  dtype: Any,
  weights: Weights,
  state: State,
  x_TBF: jax.Array,
  reset_TB1: jax.Array,
  mask_BD: jax.Array | None,
) -> tuple[tuple[State, jax.Array], Any]:
  recurrent_DG = weights.recurrent_DG.astype(dtype)

  def read(state: State, now: Any) -> tuple[State, Any]:
    z_BG, reset_B1 = now
    state = _forgotten(cell, reset_B1, state)
    p_BG = product(_masked(state[0], mask_BD), recurrent_DG)
    a_BG = cell.merge(z_BG, p_BG) + weights.bias_G[None]
    state = cell.step(state, a_BG)
    return state, (state, a_BG)

  z_TBG = product(x_TBF, weights.input_FG.astype(dtype), state[0].dtype)
  last, (after_T, a_TBG) = lax.scan(read, state, (z_TBG, reset_TB1))
  kept = weights, state, x_TBF, reset_TB1, mask_BD, after_T, a_TBG
  return (last, after_T[0]), kept


def _backward(
  cell: Cell, dtype: Any, kept: Any, cotangents: Any
) -> tuple[Weights, State, jax.Array, None, None]:
  weights, state, x_TBF, reset_TB1, mask_BD, after_T, a_TBG = kept
  d_last, d_h_TBD = cotangents
  before_T = tuple(
    jnp.concatenate([first[None], after[:-1]])
    for first, after in zip(state, after_T, strict=True)
  )
  before_T = _forgotten(cell, reset_TB1, before_T)
  input_GF = transposed(weights.input_FG.astype(dtype))
  recurrent_GD = transposed(weights.recurrent_DG.astype(dtype))
  rows = a_TBG.shape[1]
  unmerge = jax.linear_transpose(
    cell.merge,
    jax.ShapeDtypeStruct((rows, columns(weights.input_FG)), a_TBG.dtype),
    jax.ShapeDtypeStruct((rows, columns(weights.recurrent_DG)), a_TBG.dtype),
  )

  def unread(d_state: State, now: Any) -> tuple[State, jax.Array]:
    d_h_BD, reset_B1, before, a_BG = now
    _, unstep = jax.vjp(cell.step, before, a_BG)
    d_before, d_a_BG = unstep((d_state[0] + d_h_BD, *d_state[1:]))
    _, d_p_BG = unmerge(d_a_BG)
    through_BD = _masked(product(d_p_BG, recurrent_GD), mask_BD)
    d_before = (d_before[0] + through_BD, *d_before[1:])
    return _zeroed(reset_B1, d_before), d_a_BG

  d_state, d_a_TBG = lax.scan(
    unread, d_last, (d_h_TBD, reset_TB1, before_T, a_TBG), reverse=True
  )
  d_z_TBG, d_p_TBG = jax.vmap(unmerge)(d_a_TBG)
  h_TBD = before_T[0]
  if mask_BD is not None:
    h_TBD = h_TBD * mask_BD[None]
  d_weights = Weights(
    outer(x_TBF, d_z_TBG, weights.input_FG, dtype),
    outer(h_TBD, d_p_TBG, weights.recurrent_DG, dtype),
    d_a_TBG.sum((0, 1)),
  )
  d_x_TBF = product(d_z_TBG, input_GF).astype(x_TBF.dtype)
  return d_weights, d_state, d_x_TBF, None, None


_read.defvjp(_forward, _backward)


def _masked(h_BD: jax.Array, mask_BD: jax.Array | None) -> jax.Array:
  return h_BD if mask_BD is None else h_BD * mask_BD


def _forgotten(
  cell: Cell, reset: jax.Array, state: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
  fresh = cell.fresh or (0.0,) * len(state)
  return tuple(
    jnp.where(reset, jnp.asarray(value, v.dtype), v)
    for value, v in zip(fresh, state, strict=True)
  )


def _zeroed(
  reset: jax.Array, state: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
  return tuple(jnp.where(reset, jnp.zeros((), v.dtype), v) for v in state)
