"""A tape: steps write to it, and queries read a window of it.

A step takes some cells of the tape and stores in the first one. It takes no
cell if it stores nothing, and more than one if empty cells follow. A query sees
the M cells behind the head. So the age of a cell is its distance from the head,
and counts what was stored, not the steps that passed.

T steps are read in N chunks of C. Each chunk has a span of cells, M and those
that its own steps take; within it every query has a window of M that begins
`lag` cells later than the first one's. So products of queries and cells are
formed by span, `shift` turns them into rows by age and back, and memory and
time grow with T M.

Further letters: N chunks, C queries of a chunk, R cells of a span.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

CHUNK = 16  # queries


class Tape(NamedTuple):
  """M cells of memory, then room for all that a segment can store: S cells.

  Attributes:
    cells: `(B, S, ...)`, what was stored.
    run_BS: int32, the run that it was stored in; -1 for an empty cell.
    run_BT: int32, the run of each step; one more at each reset.
    head_BT: int32, the cell that each step's own is, or would be.
    end_B: int32, the cell that the next step's will be.
  """

  cells: jax.Array
  run_BS: jax.Array
  run_BT: jax.Array
  head_BT: jax.Array
  end_B: jax.Array


class Windows(NamedTuple):
  """What the queries of each chunk see.

  Attributes:
    start_BN: int32, the first cell of each chunk's span.
    lag_BNC: int32, the first cell of each query's window, in the span.
    seen_BNCM: bool, which cells of its window, the oldest first, hold
      something for the query.
    span: R.
  """

  start_BN: jax.Array
  lag_BNC: jax.Array
  seen_BNCM: jax.Array
  span: int


def write(
  memory: Shaped[Array, 'B M *x'],
  filled_BM: Bool[Array, 'B M'],
  x: Shaped[Array, 'B T *x'],
  takes_BT: Int[Array, 'B T'],
  reset_BT: Bool[Array, 'B T'],
  most: int,
) -> Tape:
  """The tape after a segment.

  Args:
    memory: the last M cells before it, the newest last.
    filled_BM: which of them hold something.
    x: what the steps store.
    takes_BT: the number of cells that each step takes.
    reset_BT: where what is on the tape is forgotten.
    most: the largest number of cells that a step may take.
  """
  (slots, length) = (filled_BM.shape[1], x.shape[1])
  ends_BT = slots + jnp.cumsum(takes_BT, axis=1)
  head_BT = ends_BT - takes_BT
  run_BT = jnp.cumsum(reset_BT.astype(jnp.int32), axis=1)
  outside = slots + length * most
  place_BT = jnp.where(takes_BT > 0, head_BT, outside)

  def put(old: jax.Array, new: jax.Array, nothing: int) -> jax.Array:
    room = jnp.full_like(old, nothing, shape=(length * most, *old.shape[2:]))

    def row(old: jax.Array, new: jax.Array, place_T: jax.Array) -> jax.Array:
      return jnp.concatenate([old, room]).at[place_T].set(new, mode='drop')

    return jax.vmap(row)(old, new, place_BT)

  run_BS = put(filled_BM.astype(jnp.int32) - 1, run_BT, -1)
  return Tape(put(memory, x, 0), run_BS, run_BT, head_BT, ends_BT[:, -1])


def last_cells(tape: Tape, slots: int) -> tuple[jax.Array, Bool[Array, 'B M']]:
  """The M cells that the next step sees, and which of them hold something."""
  start_B1 = tape.end_B[:, None] - slots
  filled_BM = slices(tape.run_BS, start_B1, slots)[:, 0] == tape.run_BT[:, -1:]
  return slices(tape.cells, start_B1, slots)[:, 0], filled_BM


def windows(
  tape: Tape, slots: int, most: int, own: bool, *, chunk: int = CHUNK
) -> Windows:
  """Cuts the steps into chunks, with what each of them sees.

  Args:
    tape: from `write`.
    slots: M.
    most: as for `write`.
    own: whether a step sees what it stores itself.
    chunk: the number of queries of a chunk at least.
  """
  length = tape.head_BT.shape[1]
  count = max(length // max(slots, chunk), 1)
  size = -(-length // count)
  begin_BT = tape.head_BT + int(own) - slots
  run_BTM = slices(tape.run_BS, begin_BT, slots)
  begin_BNC = chunked(begin_BT, size, 'edge')
  start_BN = begin_BNC[:, :, 0]
  return Windows(
    start_BN,
    begin_BNC - start_BN[:, :, None],
    chunked(run_BTM == tape.run_BT[:, :, None], size),
    slots + (size - 1) * most,
  )


def chunked(x: jax.Array, size: int, mode: str = 'constant') -> jax.Array:
  """`(B, T, ...)` to `(B, N, C, ...)`, padded at the end."""
  widths = [(0, 0), (0, -x.shape[1] % size)] + [(0, 0)] * (x.ndim - 2)
  return jnp.pad(x, widths, mode=mode).reshape(
    x.shape[0], -1, size, *x.shape[2:]
  )


def slices(
  x: Shaped[Array, 'B S *x'], start_BN: Int[Array, 'B N'], size: int
) -> Shaped[Array, 'B N {size} *x']:
  """Pieces of equal size from anywhere; 0 past the end."""
  widths = [(0, 0), (0, size)] + [(0, 0)] * (x.ndim - 2)

  def piece(row: jax.Array, start: jax.Array) -> jax.Array:
    return lax.dynamic_slice_in_dim(row, start, size)

  return jax.vmap(jax.vmap(piece, (None, 0)))(jnp.pad(x, widths), start_BN)


def shift(
  x: Float[Array, '*rows J'], by: Int[Array, '*rows'], size: int
) -> Float[Array, '*rows {size}']:
  """Moves each row to the left by a distance of its own: y_i = x_(i + by).

  What comes from outside the row is 0. The gradient is a shift to the right,
  where that of a gather would be a scatter.
  """
  width = x.shape[-1]

  @jax.custom_vjp
  def moved(x: jax.Array, by: jax.Array) -> jax.Array:
    return _take(x, by, size)

  moved.defvjp(
    lambda x, by: (_take(x, by, size), by),
    lambda by, dy: (_take(dy, -by, width), None),
  )
  return moved(x, by)


def _take(x: jax.Array, by: jax.Array, size: int) -> jax.Array:
  source = jnp.arange(size).reshape((1,) * by.ndim + (size,)) + by[..., None]
  source = jnp.where(source < 0, x.shape[-1], source)
  return jnp.take_along_axis(x, source, axis=-1, mode='fill', fill_value=0)
