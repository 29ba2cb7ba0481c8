"""The carry at a segment boundary, and the batch that is read after it.

The carry of a text crosses the boundaries of its segments. An episode has no
boundary, so its rows are cut in two.
"""

from collections.abc import Iterator
import functools

import jax
import jax.numpy as jnp

from memjax.analysis import streams
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Params

EMPTY_CARRY = 'the model has an empty carry'


def segment_boundaries(
  model: Memory,
  params_N: Params,
  task: Task,
  cut: int,
  batch_size: int,
  batches: int,
  seed: int,
) -> Iterator[tuple[Carry, Batch]]:
  """Yields the carry of every replica, `(N, B, ...)`, and the batch after it.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: for a text, the carry flows from the start of its streams.
    cut: for an episode, the position that the row is cut before; 0: the middle.
    batch_size: rows.
    batches: number of boundaries, at most; an epoch may have fewer.
    seed: of the rows.

  Raises:
    ConfigError: the cut is not inside an episode, or the task is a text and has
      a cut.
  """
  flows = task.carry_over
  rule = 'must be 0 for a text, which is cut at its segment boundaries'
  require(not (flows and cut), 'cut', cut, rule)
  cut = cut or task.length // 2
  rule = f'must lie within the {task.length} steps of a row'
  require(0 < cut < task.length, 'cut', cut, rule)
  make_batch = jax.jit(task.batch)
  replicas = len(jax.tree.leaves(params_N)[0])
  carry_N = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (replicas, *x.shape)),
    model.initial_carry(batch_size),
  )

  @jax.jit
  def read(params_N: Params, carry_N: Carry, batch: Batch) -> Carry:
    def one(params: Params, carry: Carry) -> Carry:
      return apply(model, params, carry, batch.inputs, batch.reset_BT)[0]

    return jax.vmap(one)(params_N, carry_N)

  stream = Stream(seed, streams.NUMBER, batch_size)
  for step in streams.steps(task, batch_size, int(flows), batches):
    feeds = streams.feeds(task, stream, step, 1 + flows)
    *before, after = map(make_batch, feeds)
    if not flows:
      before = [jax.tree.map(lambda x: x[:, :cut], after)]
      after = jax.tree.map(lambda x: x[:, cut:], after)
    carry_N = read(params_N, carry_N, before[0])
    yield carry_N, after


def leaf_names(model: Memory) -> tuple[str, ...]:
  """The paths of the carry's leaves, '0/h', in their order; () if none."""
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(carry)[0]]
  simple = functools.partial(jax.tree_util.keystr, simple=True, separator='/')
  return tuple(simple(path) or 'carry' for path in paths)


def require_carry(model: Memory) -> None:
  """Requires a model whose carry has leaves."""
  name = type(model).__name__
  require(bool(leaf_names(model)), 'model', name, EMPTY_CARRY)


def float_leaves(model: Memory) -> list[bool]:
  """Which leaves of the carry hold floats, in their order."""
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  return [is_float(leaf) for leaf in jax.tree.leaves(carry)]


def is_float(leaf: jax.Array | jax.ShapeDtypeStruct) -> bool:
  """Whether an array holds floats, which can be differentiated."""
  return jnp.issubdtype(leaf.dtype, jnp.floating)
