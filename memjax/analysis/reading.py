"""Batches that no training has seen, read by all replicas.

The carry flows from batch to batch. A generated task resets it where a row
begins. A text continues, so its carry is as full as in use.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any, TypeAlias

import jax
import numpy as np

from memjax.analysis.programs import initial_carry, replicas_of
from memjax.analysis.streams import NUMBER, batch_at
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


def sum_batches(*arguments: Any) -> Any:
  """The sum over batches, in float64, of what `read_batches` yields."""
  trees = (jax.tree.map(np.float64, tree) for tree in read_batches(*arguments))
  return functools.reduce(lambda a, b: jax.tree.map(np.add, a, b), trees)
