"""The recurrences of `ops/diagonal.py` as one Triton kernel, for NVIDIA GPUs.

A program of the grid keeps the state of one row and BLOCK units in registers
and walks over time. XLA's loop would have T launches, and a tree reads and
writes all T states at each of its log T levels. Loads of AHEAD steps do not
depend on the state, so they are issued before the first of these steps is read.

Steps are read in the loop's order, so results are those of a CPU up to fused
multiply-adds. Block and loads ahead are not tuned: this was not measured on a
GPU. XLA cannot divide the kernel among devices; sharded arrays are gathered.
jax has deprecated Triton kernels since 0.11. Without them a GPU would read in
a tree, as other devices do.

Further letters: P parts of a number, 1 for real ones, 2 for complex ones.
"""

import functools
from typing import Any

import jax
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
import jax.numpy as jnp

BLOCK = 128  # units of a program, at most; a power of 2
AHEAD = 8  # steps
WARPS = 4

Parts = tuple[jax.Array, ...]


def states(
  parts: int,
  reverse: bool,
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
  reset_TBD: jax.Array,
  interpret: bool = False,
) -> jax.Array:
  """h of every step, in the order of the steps.

  Args:
    parts: 1 for reals; 2 for complex numbers, parts on the last axis.
    reverse: whether the last step is read first.
    h_BD: the state before, `(B, *D)`.
    a_TBD: factors; axes T and B may have length 1.
    x_TBD: what is added.
    reset_TBD: where the state is 0 before the step is read.
    interpret: whether XLA runs the kernel, as on a CPU.
  """
  whole = x_TBD.shape

  def by_parts(x: jax.Array, lead: int) -> jax.Array:
    """To `(P, *lead, D)`."""
    x = jnp.moveaxis(x, -1, 0) if parts == 2 else x[None]
    return x.reshape(*x.shape[: 1 + lead], -1)

  a_TBD = jnp.broadcast_to(a_TBD, a_TBD.shape[:2] + whole[2:])
  h_PTBD = _call(
    reverse,
    interpret,
    *(by_parts(h_BD, 1), by_parts(a_TBD, 2), by_parts(x_TBD, 2)),
    reset_TBD.reshape(whole[:2]).astype(jnp.int32),
  )
  h_PTBD = h_PTBD.reshape(parts, *whole[: len(whole) - parts + 1])
  return jnp.moveaxis(h_PTBD, 0, -1) if parts == 2 else h_PTBD[0]


def _call(
  reverse: bool,
  interpret: bool,
  h_PBD: jax.Array,
  a_PTBD: jax.Array,
  x_PTBD: jax.Array,
  reset_TB: jax.Array,
) -> jax.Array:
  parts, length, batch, units = x_PTBD.shape
  block = min(BLOCK, pl.next_power_of_2(units))
  steps, row = a_PTBD.shape[1], int(a_PTBD.shape[2] > 1)
  whole = pl.BlockSpec((parts, length, None, block), lambda i, j: (0, 0, i, j))
  return pl.pallas_call(
    functools.partial(_walk, units, reverse),
    out_shape=jax.ShapeDtypeStruct(x_PTBD.shape, x_PTBD.dtype),
    grid=(batch, pl.cdiv(units, block)),
    in_specs=[
      pl.BlockSpec((parts, None, block), lambda i, j: (0, i, j)),
      pl.BlockSpec(
        *((parts, steps, None, block), lambda i, j: (0, 0, i * row, j))
      ),
      whole,
      pl.BlockSpec((length, None), lambda i, j: (0, i)),
    ],
    out_specs=whole,
    compiler_params=triton.CompilerParams(num_warps=WARPS),
    interpret=interpret,
  )(h_PBD, a_PTBD, x_PTBD, reset_TB)


def _walk(
  units: int,
  reverse: bool,
  h_ref: Any,
  a_ref: Any,
  x_ref: Any,
  reset_ref: Any,
  y_ref: Any,
) -> None:
  """One program."""
  parts, length, block = x_ref.shape
  place = pl.program_id(1) * block + jnp.arange(block, dtype=jnp.int32)
  inside = place < units
  moves = int(a_ref.shape[1] > 1)

  def load(ref: Any, *time: jax.Array) -> Parts:
    places = [ref.at[(jnp.int32(i), *time)] for i in range(parts)]
    return tuple(triton.load(p, mask=inside, other=0) for p in places)

  def several(first: jax.Array, count: int, h: Parts) -> Parts:
    """Reads `count` steps."""
    steps = [first + i for i in range(count)]
    if reverse:
      steps = [length - 1 - t for t in steps]
    loaded = [
      (load(a_ref, t * moves), load(x_ref, t), reset_ref[t]) for t in steps
    ]
    for t, (a, x, reset) in zip(steps, loaded, strict=True):
      kept = tuple(jnp.where(reset == 1, 0.0, part) for part in h)
      h = tuple(p + q for p, q in zip(_times(a, kept), x, strict=True))
      for i, part in enumerate(h):
        triton.store(y_ref.at[jnp.int32(i), t], part, mask=inside)
    return h

  rounds, rest = divmod(length, AHEAD)
  h = lax.fori_loop(
    *(0, rounds, lambda i, h: several(i * AHEAD, AHEAD, h)), load(h_ref)
  )
  several(jnp.int32(rounds * AHEAD), rest, h)


def _times(a: Parts, b: Parts) -> Parts:
  if len(a) == 1:
    return (a[0] * b[0],)
  return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
