"""Scores by label distance or by sequence length."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import (
  Finding,
  Instrument,
  Places,
  Result,
  metric_units,
  tidy,
)
from memjax.analysis.programs import forward, initial_carry, replicas_of
from memjax.analysis.section import Section
from memjax.analysis.streams import NUMBER, batch_at
from memjax.errors import require
from memjax.logs.plots import SCORES, reference_curves
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Metrics, Params

GOOD = 0.9  # the score from which a distance counts as answered
# (model, parameters, carry, inputs, reset) to the carry after them and outputs.
Read = Callable[[Memory, Params, Carry, Any, Any], tuple[Carry, jax.Array]]
NO_AXIS = 'the task has no label distance and no sequence length'
BIN_BATCHES = 32  # of 32 rows, that the edges of the bins are taken from


class DistanceScores(NamedTuple):
  """Metrics by bin; bin i is the range [edges[i], edges[i + 1]).

  Attributes:
    score_axis: 'label_distance', in steps, or 'sequence_length'; the task's.
    edges: `(E + 1,)` int, increasing.
    metrics: {name: `(N, E)` float64}; NaN where a bin has no label.
    labels: `(E,)`, the number of labels in each bin.
    baselines: {metric: {name: value}}, the task's references.
  """

  score_axis: str
  edges: np.ndarray
  metrics: dict[str, np.ndarray]
  labels: np.ndarray
  baselines: Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreByDistance(Instrument[DistanceScores]):
  """Scores by label distance or by sequence length.

  Attributes:
    max_bins: the number of bins, at most.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.
  """

  title = 'Score by label distance'
  order = 10
  definition = """
    The task's own metrics as a function of the label distance, which is the
    number of steps from a label back to the input it depends on, or as a
    function of the sequence length. The task says which of the two it has.
    Labels are sorted into bins. A bin's figure is one sum over one count, over
    the labels of this bin only, on rows that were not used in training. A
    metric that counts rows counts the rows that have a label in the bin.

    Units: distances and lengths in steps; scores as a share of labels or rows.
    """

  max_bins: int = 12
  batch_size: int = 32
  batches: int = 16
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if task.score_axis else NO_AXIS

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[DistanceScores]:
    found = scores_by_distance(
      model,
      params_N,
      task,
      bin_edges(task, self.max_bins),
      self.batch_size,
      self.batches,
      self.seed,
    )
    axes: dict[str, Places] = {
      'replica': range(len(found.metrics['loss'])),
      found.score_axis: _middles(found),
    }
    rows = tidy(axes, found.metrics | {'labels': found.labels})
    units = {'replica': '', found.score_axis: 'steps'}
    return Result(
      rows, units | metric_units(task, found.metrics) | {'labels': ''}, found
    )

  def show(self, results: Mapping[str, Result[DistanceScores]]) -> Section:
    axes = {result.arrays.score_axis for result in results.values()}
    xlabel = ' or '.join(sorted(axis.replace('_', ' ') for axis in axes))
    curves = panels(results, _curve)
    for metric, each in curves.items():
      ends = [x for curve in each for x in (curve.x[0], curve.x[-1])]
      for r in results.values():
        references = r.arrays.baselines.get(metric, {})
        for line in reference_curves(references, min(ends), max(ends)):
          if line not in each:
            each.append(line)
    plots = line_plots(curves, f'{xlabel}, steps')
    return Section(self.title, self.definition, plots)

  def findings(
    self, results: Mapping[str, Result[DistanceScores]]
  ) -> dict[str, Finding]:
    return {
      run: finding
      for run, r in results.items()
      if (finding := _reach(r.arrays)) is not None
    }


def _reach(found: DistanceScores) -> Finding | None:
  """The farthest distance up to which every bin has a good score."""
  score = next((name for name in SCORES if name in found.metrics), None)
  if score is None:
    return None
  median_E = np.median(found.metrics[score], axis=0)
  good = int(np.cumprod(median_E >= GOOD).sum())
  most = found.edges[-1] - 1
  far = f'{found.edges[good] - 1} of {most}' if good else f'none of {most}'
  kind = found.score_axis.rpartition('_')[2]  # distance or length
  clause = f'answers up to {kind} {far}'
  if not good:
    clause = f'answers at no {kind} of {found.edges[0]} to {most}'
  return Finding({f'farthest {kind} above {GOOD:.0%}': far}, f'it {clause}')


def scores_by_distance(
  model: Memory,
  params_N: Params,
  task: Task,
  edges: np.ndarray,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  read: Read = forward,
) -> DistanceScores:
  """Reads `batch_size x batches` fresh rows with every replica.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: which rows, and how they are measured.
    edges: `(E + 1,)` increasing ints; labels outside are left out.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.
    read: as `programs.forward`.

  Raises:
    ConfigError: the task has neither a label distance nor a sequence length.
  """
  require(bool(task.score_axis), 'task', type(task).__name__, NO_AXIS)
  ranges = jnp.asarray(edges[:-1]), jnp.asarray(edges[1:])

  @jax.jit
  def by_range(y_N: jax.Array, batch: Batch) -> tuple[Metrics, jax.Array]:
    def within(low: jax.Array, high: jax.Array) -> Batch:
      inside_BT = (batch.score_axis_BT >= low) & (batch.score_axis_BT < high)
      loss_weights_BT = jnp.where(inside_BT, batch.loss_weights_BT, 0.0)
      return batch._replace(loss_weights_BT=loss_weights_BT)

    def one(y: jax.Array) -> Metrics:
      return jax.lax.map(lambda edge: task.measure(y, within(*edge)), ranges)

    labels_E = jax.lax.map(
      lambda edge: within(*edge).loss_weights_BT.sum(), ranges
    )
    return jax.vmap(one)(y_N), labels_E

  stream = Stream(seed, NUMBER, batch_size)
  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  labels_E = np.zeros(len(edges) - 1)
  totals: Any = None
  for step in range(batches):
    batch = batch_at(task, stream, step)
    _, y_N = read(model, params_N, carry_N, batch.inputs, batch.reset_BT)
    measured, labels = jax.device_get(by_range(y_N, batch))
    labels_E += np.asarray(labels, np.float64)
    sums = jax.tree.map(np.float64, measured)
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
  metrics = {name: metric.value() for name, metric in totals.items()}
  return DistanceScores(
    task.score_axis, np.asarray(edges), metrics, labels_E, task.baselines
  )


def bin_edges(task: Task, max_bins: int = 12) -> np.ndarray:
  """Edges of bins with about equal numbers of labels.

  Each distance has its own bin if there are at most `max_bins` distances.

  Raises:
    ConfigError: the task has neither a label distance nor a sequence length.
  """
  require(bool(task.score_axis), 'task', type(task).__name__, NO_AXIS)
  stream = Stream(0, NUMBER, 32)
  distances = np.concatenate(
    [
      batch.score_axis_BT[batch.loss_weights_BT > 0]
      for batch in (batch_at(task, stream, i) for i in range(BIN_BATCHES))
    ]
  )
  distances = distances[distances > 0]
  starts = np.unique(distances)
  if len(starts) > max_bins:
    shares = np.linspace(0, 1, max_bins + 1)[:-1]
    starts = np.unique(np.quantile(distances, shares, method='lower'))
  return np.append(starts, distances.max() + 1)


def _middles(found: DistanceScores) -> np.ndarray:
  """The middle of each bin."""
  return (found.edges[:-1] + found.edges[1:] - 1) / 2


def _curve(
  found: DistanceScores,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """The first score that the task has, else the loss."""
  metric = next((name for name in SCORES if name in found.metrics), 'loss')
  return {metric: (_middles(found), found.metrics[metric])}
