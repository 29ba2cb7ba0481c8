"""Figures of a whole set, from the sums and counts of its batches.

Memory does not grow with the length of the text: a segment is read, its sums
are added in float64 on the host, and only the carry goes on.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.evaluation.base import (
  Evaluation,
  KnownMeasure,
  Measured,
  Training,
)
from memjax.guards import elastic, interrupts
from memjax.training import parallel, replicas
from memjax.training.metrics import metric_values
from memjax.training.prefetch import RowSource, prefetch
from memjax.training.state import initial_params
from memjax.types import Batch, Carry, HostBatch, Params, Sums

CALL = 8  # steps in a dispatch at most
FEW = 64  # steps of a set for which a second program is not compiled

Reader = Callable[[Params, Carry, Batch], tuple[Carry, Sums]]
RowsReader = Callable[[Params, Carry, HostBatch], tuple[Carry, Sums]]


def measure_with(
  read_batch: Reader, evaluation: Evaluation, training: Training, mesh: Mesh
) -> KnownMeasure:
  """A function from parameters to the figures of the whole set.

  Args:
    read_batch: pure; the carry after a batch, and the batch's sums.
    evaluation: the set.
    training: the run's experiment.
    mesh: where the arrays lie.
  """
  task = evaluation.task

  def read_rows(
    params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Sums]:
    return read_batch(params, carry, task.batch(host_batch))

  totals = totals_with(read_rows, task, evaluation, training, mesh)
  return KnownMeasure(
    lambda params: Measured(metric_values(totals(params))),
    lambda: metric_names(read_batch, evaluation, training),
  )


def totals_with(
  read_rows: RowsReader,
  source: RowSource,
  evaluation: Evaluation,
  training: Training,
  mesh: Mesh,
) -> Callable[[Params], Sums]:
  """A function from parameters to the sums of the whole set, `(N, ...)`.

  Args:
    read_rows: pure; the carry after the rows, and their sums.
    source: makes the rows.
    evaluation: the set.
    training: the run's experiment.
    mesh: where the arrays lie.
  """
  count = training.train.replicas
  stream, steps = evaluation.stream(training.seed), evaluation.number_of_steps
  rows = parallel.rows_sharding(mesh, count)
  if training.parallel.determinism == elastic.ELASTIC:
    read_rows = elastic.reader_in_groups(mesh, read_rows)

  def read_call(
    params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Sums]:
    step = functools.partial(read_rows, params)
    turns = jax.tree.leaves(host_batch)[0].shape[0]
    carry, sums = jax.lax.scan(step, carry, host_batch, unroll=turns == 1)
    return carry, jax.tree.map(lambda x: x.sum(0), sums)

  def initial_carry() -> Carry:
    carry = evaluation.model.initial_carry(evaluation.batch_size)
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), carry)

  begin = jax.jit(initial_carry, out_shardings=rows)
  call = jax.jit(
    replicas.each(read_call, count, mesh, (0, 0, 0), 0),
    donate_argnums=1,
    out_shardings=(rows, parallel.replicated(mesh)),
  )

  def totals_of(params: Params) -> Sums:
    carry = begin()
    totals: Any = None
    waiting: list[Sums] = []  # one call is read while the next one runs
    for starts, turns in calls(steps):
      for host_batch in prefetch(source, stream, mesh, starts, turns, count):
        interrupts.check()
        carry, sums = call(params, carry, host_batch)
        waiting.append(sums)
        if len(waiting) > 1:
          totals = _add(totals, waiting.pop(0))
    for sums in waiting:
      totals = _add(totals, sums)
    return totals

  return totals_of


def calls(steps: int) -> list[tuple[range, int]]:
  """The first steps of the dispatches of a set, and how many each has.

  Each number of steps is a program to compile, which takes longer than the
  dispatches of a small set.
  """
  turns = max(n for n in range(1, CALL + 1) if steps % n == 0)
  if steps <= FEW or turns > CALL // 2:
    return [(range(0, steps, turns), turns)]
  full = steps - steps % CALL
  return [(range(0, full, CALL), CALL), (range(full, steps), 1)]


def metric_names(
  read_batch: Reader, evaluation: Evaluation, training: Training
) -> set[str]:
  """The metrics of a set, from the shapes of its first batch."""
  model, task = evaluation.model, evaluation.task
  stream = evaluation.stream(training.seed)
  host_batch = task.rows(stream, 0, np.arange(evaluation.batch_size))

  def read_first(host_batch: HostBatch) -> Sums:
    params = initial_params(model, task, jax.random.key(0))
    carry = model.initial_carry(evaluation.batch_size)
    return read_batch(params, carry, task.batch(host_batch))[1]

  return set(jax.eval_shape(read_first, host_batch).metrics)


def _add(totals: Any, sums: Sums) -> Any:
  more = jax.tree.map(np.float64, parallel.to_host(sums))
  return more if totals is None else jax.tree.map(np.add, totals, more)
