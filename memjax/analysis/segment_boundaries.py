"""The memory as it is handed over, and what is read with it afterwards.

A text's memory is handed from one segment to the next. An episode has no such
border, so its rows are cut in two.
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


def borders(
  model: Memory,
  params_N: Params,
  task: Task,
  cut: int,
  batch_size: int,
  batches: int,
  seed: int,
) -> Iterator[tuple[Carry, Batch]]:
  """The carry of every replica, `(N, B, ...)`, and the batch that follows.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: of a text, the carry flows on from where its lanes start.
    cut: of an episode, the step that it is cut before; 0: the middle.
    batch_size: rows.
    batches: how many borders, or all of the epoch if it has fewer.
    seed: of the rows.

  Raises:
    ConfigError: the cut is not within an episode, or one of a text.
  """
  on = streams.goes_on(task, batch_size)
  rule = 'must be 0, the border of segments, as rows go on in the next step'
  require(not (on and cut), 'cut', cut, rule)
  cut = cut or task.length // 2
  rule = f'must lie within the {task.length} steps of a row'
  require(0 < cut < task.length, 'cut', cut, rule)
  make = jax.jit(task.batch)
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
  for step in streams.steps(task, batch_size, int(on), batches):
    *earlier, last = map(make, streams.feeds(task, stream, step, 1 + on))
    if not on:
      earlier = [jax.tree.map(lambda x: x[:, :cut], last)]
      last = jax.tree.map(lambda x: x[:, cut:], last)
    carry_N = read(params_N, carry_N, earlier[0])
    yield carry_N, last


def leaf_names(model: Memory) -> tuple[str, ...]:
  """Of the leaves of the model's carry, '0/h', in their order.

  Raises:
    ConfigError: the carry has none: the model remembers nothing.
  """
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(carry)[0]]
  rule = 'has nothing in its carry'
  require(bool(paths), 'model', type(model).__name__, rule)
  simple = functools.partial(jax.tree_util.keystr, simple=True, separator='/')
  return tuple(simple(path) or 'carry' for path in paths)


def is_float(leaf: jax.Array) -> bool:
  """Whether it can be moved a little: no integers, no truth values."""
  return jnp.issubdtype(leaf.dtype, jnp.floating)
