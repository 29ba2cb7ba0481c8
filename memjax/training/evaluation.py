"""Named evaluation sets: every label once, by the protocol of the set."""

from collections.abc import Callable, Sequence
import functools
import time
from typing import Any
import zlib

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.protocol import of_parts
from memjax.errors import require
from memjax.models.base import Memory
from memjax.runs.best import Figure, figures_of
from memjax.tasks.base import Stream
from memjax.training import parallel, replicas
from memjax.training.metrics import Row, metric_values
from memjax.training.prefetch import prefetch
from memjax.training.state import initial_params
from memjax.training.step import evaluate_batch
from memjax.types import Carry, HostBatch, Params, Sums

CALL = 8  # steps in a dispatch, where a set has as many


class Evaluator:
  """Runs one evaluation set on any parameters of the model.

  Memory does not grow with the length of the text: a segment is read, its sums
  are added in float64 on the host, and only the carry goes on.
  """

  def __init__(self, name: str, experiment: Experiment, mesh: Mesh):
    evaluation = experiment.evals[name]
    check_parameters(experiment, name)
    self.every = evaluation.every
    self._name, self._set, self._mesh = name, evaluation, mesh
    index = zlib.crc32(name.encode()) | 1 << 31
    self._stream = Stream(experiment.seed, index, evaluation.batch_size)
    self._steps = evaluation.steps or evaluation.task.epoch_steps(
      evaluation.batch_size
    )
    self._dtype = experiment.train.dtype
    count = self._replicas = experiment.train.replicas
    rows = parallel.rows_sharding(mesh, count)
    self._call = jax.jit(
      replicas.each(self._read, count, (0, 0, 0), 0),
      donate_argnums=1,
      out_shardings=(rows, parallel.replicated(mesh)),
    )

    def fresh() -> Carry:
      carry = evaluation.model.initial_carry(evaluation.batch_size)
      return jax.tree.map(
        lambda x: jnp.broadcast_to(x, (count, *x.shape)), carry
      )

    self._fresh = jax.jit(fresh, out_shardings=rows)
    self._protocol = of_parts(
      evaluation.task,
      evaluation.model,
      lanes=evaluation.batch_size,
      steps=self._steps,
      parameters='ema' if experiment.optim.ema else 'last',
      dtype=self._dtype,
      fields=evaluation.evaluated,
    )

  def _read(
    self, params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Sums]:
    def one(carry: Carry, host_batch: HostBatch) -> tuple[Carry, Sums]:
      task = self._set.task
      return evaluate_batch(
        self._set.model,
        task,
        self._dtype,
        params,
        carry,
        task.batch(host_batch),
      )

    steps = jax.tree.leaves(host_batch)[0].shape[0]
    carry, sums = jax.lax.scan(one, carry, host_batch, unroll=steps == 1)
    return carry, jax.tree.map(lambda x: x.sum(0), sums)

  def row(self, step: int, params: Params) -> Row:
    """The row for `metrics.jsonl`, with the protocol beside the figures."""
    start = time.perf_counter()
    figures = replicas.summary(self.measure(params))
    return {
      'step': step,
      'split': self._name,
      **figures,
      'protocol': self._protocol.to_json(),
      'seconds': round(time.perf_counter() - start, 3),
    }

  def measure(self, params: Params) -> dict[str, np.ndarray]:
    """{metric: figure}, `(N,)`, over the whole set."""
    full = self._steps - self._steps % CALL
    carry = self._fresh()
    totals: Any = None
    waiting: list[Sums] = []
    for calls, steps in (
      (range(0, full, CALL), CALL),
      (range(full, self._steps), 1),
    ):
      for host_batch in prefetch(
        self._set.task, self._stream, self._mesh, calls, steps, self._replicas
      ):
        carry, sums = self._call(params, carry, host_batch)
        waiting.append(sums)
        if len(waiting) > 1:
          totals = _add(totals, waiting.pop(0))
    for sums in waiting:
      totals = _add(totals, sums)
    return metric_values(totals)


def evaluate(
  evaluators: Sequence[Evaluator],
  step: int,
  params: Params,
  write: Callable[[Row], None],
) -> dict[str, Figure]:
  """Writes a row for each set; returns {'set/metric': figure}."""
  figures: dict[str, Figure] = {}
  for evaluator in evaluators:
    row = evaluator.row(step, params)
    write(row)
    figures |= figures_of(row)
  return figures


def check_parameters(experiment: Experiment, name: str) -> None:
  """Requires the model of a set to have the trained model's parameters.

  Raises:
    ConfigError: the set's changes made one of another shape.
  """
  evaluated, key = experiment.evals[name].model, jax.random.key(0)

  def shapes(model: Memory) -> dict[str, tuple[int, ...]]:
    made = jax.eval_shape(lambda: initial_params(model, experiment.task, key))
    leaves = jax.tree_util.tree_leaves_with_path(made)
    name = functools.partial(jax.tree_util.keystr, simple=True, separator='.')
    return {name(path): leaf.shape for path, leaf in leaves}

  if evaluated == experiment.model:
    return
  there, here = shapes(experiment.model), shapes(evaluated)
  for path in there | here:
    shape, trained = here.get(path, 'none'), there.get(path, 'none')
    rule = f'has the shape {shape} in this model, {trained} in the trained one'
    require(shape == trained, f'evals.{name}', path, rule)


def _add(totals: Any, sums: Sums) -> Any:
  here = jax.tree.map(np.float64, parallel.to_host(sums))
  return here if totals is None else jax.tree.map(np.add, totals, here)
