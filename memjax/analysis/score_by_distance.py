"""What a memory scores, by how far back or how long a label asks.

Definition: a task whose `score_axis` is 'label_distance' or 'sequence_length'
tells of every label how much it asks of a memory. The curve has, for each bin
of extents, the task's own metrics over the labels of that bin alone: one sum
over one count, from rows that no training has seen. A metric that counts rows
counts those rows that have a label in the bin.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import GeneratedTask, Stream, Task
from memjax.types import Batch, HostBatch, Metrics, Params

NUMBER = 1 << 30  # of the stream: neither training's nor an evaluation's


class Curve(NamedTuple):
  """Figures by bin: bin i holds the extents of [edges[i], edges[i + 1]).

  Attributes:
    score_axis: 'label_distance', in steps, or 'sequence_length', as the task
    says.
    edges: `(E + 1,)` int, rising.
    metrics: {name: `(N, E)` float64}; no number where a bin had no label.
    labels: `(E,)`, how many labels each bin had.
  """

  score_axis: str
  edges: np.ndarray
  metrics: dict[str, np.ndarray]
  labels: np.ndarray


def curve(
  model: Memory,
  params_N: Params,
  task: GeneratedTask,
  edges: np.ndarray,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> Curve:
  """Reads `batch_size x batches` fresh rows with every replica.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: which rows, and how they are measured.
    edges: `(E + 1,)` rising ints; labels outside are left out.
    batch_size: rows read at once.
    batches: so many times.
    seed: of the rows.

  Raises:
    ConfigError: the task does not tell extents.
  """
  require_score_axis(task)
  low_E, high_E = jnp.asarray(edges[:-1]), jnp.asarray(edges[1:])

  @jax.jit
  def read(params_N: Params, feed: HostBatch) -> tuple[Metrics, jax.Array]:
    batch = task.batch(feed)

    def one(params: Params) -> Metrics:
      carry = model.initial_carry(batch_size)
      _, y = apply(model, params, carry, batch.inputs, batch.reset_BT)
      return jax.lax.map(lambda edge: task.measure(y, within(*edge)), both)

    def within(low: jax.Array, high: jax.Array) -> Batch:
      there_BT = (batch.score_axis_BT >= low) & (batch.score_axis_BT < high)
      loss_weights_BT = jnp.where(there_BT, batch.loss_weights_BT, 0.0)
      return batch._replace(loss_weights_BT=loss_weights_BT)

    both = low_E, high_E
    labels_E = jax.lax.map(
      lambda edge: within(*edge).loss_weights_BT.sum(), both
    )
    return jax.vmap(one)(params_N), labels_E

  stream, row_ids = Stream(seed, NUMBER, batch_size), np.arange(batch_size)
  labels_E = np.zeros(len(edges) - 1)
  totals: Any = None
  for step in range(batches):
    measured, labels = read(params_N, task.rows(stream, step, row_ids))
    labels_E += np.asarray(labels, np.float64)
    sums = jax.tree.map(np.float64, jax.device_get(measured))
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
  metrics = {name: metric.value() for name, metric in totals.items()}
  return Curve(task.score_axis, np.asarray(edges), metrics, labels_E)


def bins(task: GeneratedTask, most: int = 12) -> np.ndarray:
  """Edges of at most so many bins that hold alike many labels.

  They are those of a thousand rows: each extent has a bin of its own where
  they are few.

  Raises:
    ConfigError: the task does not tell extents.
  """
  require_score_axis(task)
  stream = Stream(0, NUMBER, 1000)
  batch = jax.jit(task.batch)(task.rows(stream, 0, np.arange(1000)))
  extents = np.asarray(batch.score_axis_BT)[
    np.asarray(batch.loss_weights_BT) > 0
  ]
  extents = extents[extents > 0]
  different = np.unique(extents)
  if len(different) > most:
    shares = np.linspace(0, 1, most + 1)[:-1]
    different = np.unique(np.quantile(extents, shares, method='lower'))
  return np.append(different, extents.max() + 1)


def require_score_axis(task: Task) -> None:
  """Requires a task that tells how much its labels ask."""
  name = type(task).__name__
  require(
    bool(task.score_axis), 'task', name, 'tells no distance and no length'
  )
