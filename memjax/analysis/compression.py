"""What fewer bits of the parameters and of the carry cost, by distance."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.across_runs import format_median, median_dot
from memjax.analysis.base import Instrument, Places, Result, metric_units, tidy
from memjax.analysis.compressors import compressors, step_by_step
from memjax.analysis.dot_plot import Dot, DotPlot
from memjax.analysis.programs import replicas_of
from memjax.analysis.score_by_distance import (
  NO_AXIS,
  DistanceScores,
  bin_edges,
  scores_by_distance,
)
from memjax.analysis.section import Section, Table
from memjax.analysis.segment_boundaries import float_leaves
from memjax.analysis.state_size import state_size
from memjax.logs.plots import SCORES
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Carry, Params

PARAMETERS, CARRY = 'parameters', 'carry'


class CompressionScores(NamedTuple):
  """Scores of K ways to store parameters or carry.

  Attributes:
    score: the metric, 'accuracy'.
    score_axis: 'label_distance' or 'sequence_length'.
    edges: `(E + 1,)`, of the bins.
    what: `(K,)`, 'parameters' or 'carry'.
    names: `(K,)`, how they are stored.
    stored_bytes: `(K,)`, of one replica's parameters, or of one row's carry.
    scores: `(K, N, E)`.
  """

  score: str
  score_axis: str
  edges: np.ndarray
  what: tuple[str, ...]
  names: tuple[str, ...]
  stored_bytes: np.ndarray
  scores: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compression(Instrument[CompressionScores]):
  """What fewer bits of parameters and carry cost, by label distance.

  Attributes:
    carry_bits: numbers of bits of the carry, separated by spaces.
    max_bins: the number of bins, at most.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.
  """

  title = 'Compression'
  order = 120
  in_report = False
  definition = """
    The task's score by label distance, or by sequence length, with parameters
    that were compressed after training, and with a carry that is rounded to a
    number of bits after every step. Nothing is trained again. Only kernels are
    compressed, each by itself: `analysis/compressors.py` has the equations and
    the papers. The scale of a rounded carry is the largest size in a row and a
    leaf; integers and booleans in a carry stay.

    Bytes are those of the parameters of one replica, or of the carry of one
    row, stored plainly: integers with a scale for each column, kept weights
    with one bit that says which, two factors of a lower rank.

    Units: bytes; distances and lengths in steps; scores as a share of labels.
    """

  carry_bits: str = '8 6 4 3 2'
  max_bins: int = 6
  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if task.score_axis else NO_AXIS

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[CompressionScores]:
    sizes = bin_edges(task, self.max_bins), self.batch_size, self.batches
    read = task, *sizes, self.seed
    found = [_of_parameters(model, params_N, *read)]
    if any(float_leaves(model)):
      bits = [int(b) for b in self.carry_bits.split()]
      found.append(_of_carry(model, params_N, bits, *read))
    arrays = found[0]._replace(
      what=sum((f.what for f in found), ()),
      names=sum((f.names for f in found), ()),
      stored_bytes=np.concatenate([f.stored_bytes for f in found]),
      scores=np.concatenate([f.scores for f in found]),
    )
    edges = arrays.edges
    axes: dict[str, Places] = {
      'way': range(len(arrays.names)),
      'replica': range(arrays.scores.shape[1]),
      arrays.score_axis: (edges[:-1] + edges[1:] - 1) / 2,
    }
    figures = {arrays.score: arrays.scores}
    rows = [
      {
        'what': arrays.what[row['way']],
        'stored': arrays.names[row['way']],
        'size': int(arrays.stored_bytes[row.pop('way')]),
      }
      | row
      for row in tidy(axes, figures)
    ]
    units = {'what': '', 'stored': '', 'size': 'bytes', 'replica': ''}
    units |= {arrays.score_axis: 'steps'}
    return Result(rows, units | metric_units(task, figures), arrays)

  def show(self, results: Mapping[str, Result[CompressionScores]]) -> Section:
    found = {run: result.arrays for run, result in results.items()}
    scores = '/'.join(dict.fromkeys(arrays.score for arrays in found.values()))
    dots = {run: _dots(arrays) for run, arrays in found.items()}
    plot = DotPlot({f'{scores}, mean of distances': dots})
    tables = [_table(run, arrays) for run, arrays in found.items()]
    return Section(self.title, self.definition, [plot], tables=tables)


def _dots(found: CompressionScores) -> list[Dot]:
  """A dot for each way to store; its quartiles are of the replicas."""
  ways = zip(found.what, found.names, found.scores.mean(axis=2), strict=True)
  return [median_dot(f'{what}, {name}', scores) for what, name, scores in ways]


def _table(run: str, found: CompressionScores) -> Table:
  edges = found.edges
  bins = [
    f'{first}' if first == last else f'{first} to {last}'
    for first, last in zip(edges[:-1], edges[1:] - 1, strict=True)
  ]
  rows = [
    [
      f'{what}, {name}',
      f'{size:,}',
      *(format_median(scores_NE[:, i]) for i in range(len(bins))),
    ]
    for what, name, size, scores_NE in zip(
      found.what, found.names, found.stored_bytes, found.scores, strict=True
    )
  ]
  axis = found.score_axis.replace('_', ' ')
  caption = f'{run}: {found.score} by {axis}, steps'
  return Table(['stored', 'bytes', *bins], rows, caption)


def _of_parameters(
  model: Memory, params_N: Params, task: Task, *sizes: Any
) -> CompressionScores:
  """The scores of every compressor; all are read as if they were replicas."""
  ways, count = list(compressors()), replicas_of(params_N)
  variants = [jax.vmap(way.apply)(params_N) for way in ways]
  together = jax.tree.map(lambda *x: jnp.concatenate(x), *variants)
  found = scores_by_distance(model, together, task, *sizes)
  one = jax.tree.map(lambda x: x[0], params_N)
  stored_bytes = [way.stored_bytes(one) for way in ways]
  names = [way.name for way in ways]
  return _scores(found, PARAMETERS, names, stored_bytes, count)


def _of_carry(
  model: Memory,
  params_N: Params,
  bits: Sequence[int],
  task: Task,
  edges: np.ndarray,
  batch_size: int,
  batches: int,
  seed: int,
) -> CompressionScores:
  """The scores with a carry of each of these numbers of bits."""
  count, state = replicas_of(params_N), state_size(model)
  together = jax.tree.map(lambda x: jnp.concatenate([x] * len(bits)), params_N)
  levels_N = np.repeat([2.0 ** (b - 1) - 1 for b in bits], count)

  def read(
    model: Memory, params_N: Params, carry_N: Carry, inputs: Any, reset_BT: Any
  ) -> tuple[Carry, jax.Array]:
    levels = jnp.asarray(levels_N, jnp.float32)
    return step_by_step(model, params_N, carry_N, inputs, reset_BT, levels)

  found = scores_by_distance(
    model, together, task, edges, batch_size, batches, seed, read
  )
  floats = state.floating // 4
  scales = 4 * sum(float_leaves(model))
  stored_bytes = [state.integer + scales + -(-floats * b // 8) for b in bits]
  names = [f'{b} bits' for b in bits]
  return _scores(found, CARRY, names, stored_bytes, count)


def _scores(
  found: DistanceScores,
  what: str,
  names: Sequence[str],
  stored_bytes: Sequence[int],
  replicas: int,
) -> CompressionScores:
  score = next((name for name in SCORES if name in found.metrics), 'loss')
  scores = found.metrics[score].reshape(len(names), replicas, -1)
  return CompressionScores(
    score,
    found.score_axis,
    found.edges,
    (what,) * len(names),
    tuple(names),
    np.array(stored_bytes),
    scores,
  )
