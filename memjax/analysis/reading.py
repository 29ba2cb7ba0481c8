"""Batches that no training has seen, read by all replicas.

The carry flows from batch to batch. A generated task resets it where a row
begins. A text continues, so its carry is as full as in use.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
from typing import Any, TypeAlias

import jax
import numpy as np

from memjax.analysis.intermediates import Shown, look
from memjax.analysis.programs import initial_carry, replicas_of
from memjax.analysis.streams import NUMBER, batch_at
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Params

Look: TypeAlias = Callable[[Params, Carry, Batch], tuple[Carry, Any]]


def read_batches(
  model: Memory,
  params_N: Params,
  task: Task,
  look: Look,
  batch_size: int,
  batches: int,
  seed: int,
) -> Iterator[Any]:
  """Applies `look` to each batch, with one compiled program.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    look: (parameters, carry, batch) to the carry after it and a tree of arrays.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.

  Yields:
    Trees of arrays `(N, ...)`.
  """

  @jax.jit
  def read(params_N: Params, carry_N: Carry, batch: Batch) -> tuple[Carry, Any]:
    return jax.vmap(lambda p, c: look(p, c, batch))(params_N, carry_N)

  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  stream = Stream(seed, NUMBER, batch_size)
  for step in range(batches):
    batch = batch_at(task, stream, step)
    carry_N, found = read(params_N, carry_N, batch)
    yield jax.tree.map(np.asarray, found)


def read_shown(
  model: Memory,
  params_N: Params,
  task: Task,
  wanted: Callable[[str], bool],
  of: Callable[[Shown, Batch], Any],
  not_shown: str,
  *sizes: int,
) -> Iterator[Any]:
  """Applies `of` to what the model shows of its inside in each batch.

  Args:
    model: any memory.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    wanted: whether a path is passed to `of`.
    of: (what is shown, batch) to a tree of arrays.
    not_shown: the rule that a model breaks which shows nothing of it.
    *sizes: batch size, number of batches and seed.

  Raises:
    ConfigError: the model shows nothing that is wanted.
  """

  def read(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
    carry, _, shown = look(model, params, carry, batch.inputs, batch.reset_BT)
    found = {path: x for path, x in shown.items() if wanted(path)}
    require(bool(found), 'model', type(model).__name__, not_shown)
    return carry, of(found, batch)

  return read_batches(model, params_N, task, read, *sizes)


def total(trees: Iterable[Any]) -> Any:
  """The sum of trees, in float64."""
  exact = (jax.tree.map(np.float64, tree) for tree in trees)
  return functools.reduce(lambda a, b: jax.tree.map(np.add, a, b), exact)


def sum_batches(*arguments: Any) -> Any:
  """The sum over batches, in float64, of what `read_batches` yields."""
  return total(read_batches(*arguments))
