"""The carry at a segment boundary, and the batch that is read after it.

The carry of a text crosses the boundaries of its segments. An episode has no
boundary, so its rows are cut in two.
"""

from collections.abc import Iterator
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.programs import forward, initial_carry, replicas_of
from memjax.errors import require
from memjax.models.base import Memory, Model
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
  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  stream = Stream(seed, streams.NUMBER, batch_size)
  for step in streams.steps(task, batch_size, int(flows), batches):
    if flows:
      before = streams.batch_at(task, stream, step - 1)
      after = streams.batch_at(task, stream, step)
    else:
      whole = streams.batch_at(task, stream, step)
      before = at_the_end(whole, cut)
      after = jax.tree.map(lambda x: x[:, cut:], whole)
    carry_N, _ = forward(
      model, params_N, carry_N, before.inputs, before.reset_BT
    )
    yield carry_N, after


def at_the_end(batch: Batch, cut: int) -> Batch:
  """The first `cut` steps of episodes, behind steps that their reset hides."""
  rolled = jax.tree.map(lambda x: np.roll(x, x.shape[1] - cut, axis=1), batch)
  reset_BT = rolled.reset_BT.copy()
  reset_BT[:, reset_BT.shape[1] - cut] = True
  return rolled._replace(reset_BT=reset_BT)


def last_labels(batch: Batch) -> tuple[Batch, Batch]:
  """What is before the last label of each row, and the label's step.

  Each row is moved to the right, so that its label would come next; a reset
  hides what stands before its first step.
  """
  steps = batch.loss_weights_BT.shape[1]
  has = batch.loss_weights_BT > 0
  require(bool(has.any(axis=1).all()), 'task', '', 'has a row without a label')
  last_B = steps - 1 - np.asarray(has)[:, ::-1].argmax(axis=1)
  rows = np.arange(len(last_B))[:, None]
  from_BT = np.arange(steps)[None] + last_B[:, None] - steps
  moved = jax.tree.map(lambda x: np.asarray(x)[rows, from_BT % steps], batch)
  reset_BT = np.array(moved.reset_BT)
  first_B = steps - last_B
  inside = first_B < steps
  reset_BT[rows[inside, 0], first_B[inside]] = True
  now = jax.tree.map(lambda x: np.asarray(x)[rows, last_B[:, None]], batch)
  return moved._replace(reset_BT=reset_BT), now


def padded(batch: Batch, length: int) -> Batch:
  """The batch with steps without labels behind it, `length` in all."""

  def pad(x: np.ndarray) -> np.ndarray:
    behind = length - x.shape[1]
    return np.pad(x, [(0, 0), (0, behind)] + [(0, 0)] * (x.ndim - 2))

  return jax.tree.map(pad, batch)


def leaf_names(model: Memory) -> tuple[str, ...]:
  """The names of the carry's leaves in their order; () if none.

  A leaf is named by its fields, without the letters of its axes: `layer_0.h`
  is the field `h_BD` of the first layer of a whole model. A layer whose carry
  is one array has its number alone.
  """
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(carry)[0]]
  simple = functools.partial(jax.tree_util.keystr, simple=True)
  names = []
  for path in paths:
    parts = [re.sub('_[A-Z]+$', '', simple((key,))) for key in path]
    if parts and parts[0].isdigit() and isinstance(model, Model):
      parts[0] = f'layer_{parts[0]}'
    names.append('.'.join(parts) or 'carry')
  return tuple(names)


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
