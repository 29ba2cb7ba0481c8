"""What it costs a model to lose its memory, leaf by leaf."""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import programs
from memjax.analysis.ablations import ABLATIONS, ablated
from memjax.analysis.across_runs import format_median, median_dot
from memjax.analysis.base import (
  Finding,
  Instrument,
  Places,
  Result,
  loss_unit,
  tidy,
)
from memjax.analysis.dot_plot import DotPlot
from memjax.analysis.programs import forward
from memjax.analysis.section import Section, Table
from memjax.analysis.segment_boundaries import (
  EMPTY_CARRY,
  float_leaves,
  leaf_names,
  padded,
  require_carry,
  segment_boundaries,
)
from memjax.errors import require
from memjax.logs.console import format_number
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Metrics, Params

ALL = 'all'
LEAST = 0.01  # nats, or share of the loss, that a memory in use saves


class AblationEffects(NamedTuple):
  """What the whole carry and each of its K leaves are worth.

  Attributes:
    leaves: 'all', then the paths of the leaves.
    loss: `(N,)` float64, with the intact carry.
    accuracy: `(N,)` float64; NaN if the task has no accuracy.
    loss_rise: {ablation: `(N, 1 + K)`} for each of `ABLATIONS`.
    accuracy_drop: the same for the accuracy.
  """

  leaves: tuple[str, ...]
  loss: np.ndarray
  accuracy: np.ndarray
  loss_rise: dict[str, np.ndarray]
  accuracy_drop: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateAblation(Instrument[AblationEffects]):
  """What it costs to remove, shuffle or noise the carry.

  Attributes:
    batch_size: rows in a batch.
    batches: number of segment boundaries.
    cut: for an episode, the position that the row is cut before; 0: the middle.
    seed: of the rows and of the noise.
  """

  title = 'State ablation'
  order = 30
  definition = """
    At a segment boundary, or in the middle of an episode, one leaf of the
    carry, or all of them, is

        removed    set to its initial value, as if nothing had been read
        shuffled   replaced by that of the row before; the first row gets that
                   of the last
        noised     changed by normal noise; each number's standard deviation is
                   that of the number over the rows

    and the following batch is read. The loss rise is the loss with this carry
    minus the loss with the intact carry. The accuracy drop is the accuracy with
    the intact carry minus the accuracy with this carry. Both are means over all
    labels after the boundaries, including labels that do not need the memory. A
    leaf that the model does not use costs exactly 0. Leaves of integers or
    booleans are not noised: they have no figure, and with 'all' only the other
    leaves are noised.

    Paper: none.

    Units: losses in nats per label for classes, otherwise as the task defines
    them; accuracy as a share of labels.
    """

  batch_size: int = 32
  batches: int = 4
  cut: int = 0
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if leaf_names(model) else EMPTY_CARRY

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[AblationEffects]:
    sizes = self.batch_size, self.batches, self.seed, self.cut
    found = ablate(model, params_N, task, *sizes)
    axes: dict[str, Places] = {
      'ablation': ABLATIONS,
      'replica': range(len(found.loss)),
      'leaf': found.leaves,
    }
    figures = {
      'loss_rise': np.stack([found.loss_rise[a] for a in ABLATIONS]),
      'accuracy_drop': np.stack([found.accuracy_drop[a] for a in ABLATIONS]),
      'intact_loss': found.loss[:, None],
      'intact_accuracy': found.accuracy[:, None],
    }
    units = dict.fromkeys(axes, '') | dict.fromkeys(figures, loss_unit(task))
    units['accuracy_drop'] = units['intact_accuracy'] = 'share of labels'
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[AblationEffects]]) -> Section:
    dots = {
      f'loss rise, {ablation}': {
        run: [
          median_dot(leaf, r.arrays.loss_rise[ablation][:, i])
          for i, leaf in enumerate(r.arrays.leaves)
        ]
        for run, r in results.items()
      }
      for ablation in ABLATIONS
    }
    tables = [_table(run, result.arrays) for run, result in results.items()]
    return Section(self.title, self.definition, [DotPlot(dots)], tables=tables)

  def findings(
    self, results: Mapping[str, Result[AblationEffects]]
  ) -> dict[str, Finding]:
    return {run: _finding(result) for run, result in results.items()}


def _finding(result: Result[AblationEffects]) -> Finding:
  loss_N, rise_N = result.arrays.loss, result.arrays.loss_rise['removed'][:, 0]
  nats = result.units['loss_rise'].startswith('nats')
  rise, loss = float(np.median(rise_N)), float(np.median(loss_N))
  verb = 'uses' if rise >= LEAST * (1 if nats else loss) else 'does not use'
  unit = 'nats' if nats else 'in its loss'
  return Finding(
    {'loss without memory': f'{format_number(loss + rise)} ({rise:+.3g})'},
    f'{verb} its memory: {rise:+.2g} {unit} without it',
  )


def _table(run: str, found: AblationEffects) -> Table:
  rows = [
    [leaf, *(format_median(found.loss_rise[a][:, i]) for a in ABLATIONS)]
    for i, leaf in enumerate(found.leaves)
  ]
  caption = f'{run}: loss rise; intact loss {format_median(found.loss)}'
  return Table(['leaf', *ABLATIONS], rows, caption)


def ablate(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  cut: int = 0,
) -> AblationEffects:
  """Reads what follows each boundary 1 + 3 (1 + K) times with every replica.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: for a text, the boundaries are those of its segments.
    batch_size: rows, at least 2.
    batches: number of boundaries, at most; an epoch may have fewer.
    seed: of the rows and of the noise.
    cut: for an episode, the position that the row is cut before; 0: the middle.

  Raises:
    ConfigError: the carry is empty, the batch has one row, no label follows a
      boundary, or the cut is not inside an episode.
  """
  require(batch_size >= 2, 'batch_size', batch_size, 'must be at least 2')
  require_carry(model)
  totals: Any = None
  for boundary, (carry_N, after) in enumerate(
    segment_boundaries(model, params_N, task, cut, batch_size, batches, seed)
  ):
    sums = _read(model, params_N, task, carry_N, after, (seed, boundary))
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
  labels = 0 if totals is None else totals['loss'].count.sum()
  require(labels > 0, 'cut', cut, 'no label follows a segment boundary')
  mean = {name: metric.value() for name, metric in totals.items()}
  loss, accuracy = mean['loss'], mean.get('accuracy', mean['loss'] * np.nan)
  return AblationEffects(
    (ALL, *leaf_names(model)),
    loss[:, 0],
    accuracy[:, 0],
    _by_ablation(loss[:, 1:] - loss[:, :1], model),
    _by_ablation(accuracy[:, :1] - accuracy[:, 1:], model),
  )


def _read(
  model: Memory,
  params_N: Params,
  task: Task,
  carry_N: Carry,
  after: Batch,
  seed: tuple[int, int],
) -> Metrics:
  """Sums and counts `(N, 1 + 3 (1 + K))`; the intact carry comes first."""
  intact, structure = jax.tree.flatten(carry_N)
  replaced_by = ablated(model, intact, jnp.asarray(seed))
  every = range(len(intact))
  replaced = [[], *[[*every], *([i] for i in every)] * len(ABLATIONS)]
  ablations = [0, *np.repeat(range(len(ABLATIONS)), 1 + len(intact)).tolist()]
  after = padded(after, task.length)
  cases = []
  for ablation, places in zip(ablations, replaced, strict=True):
    leaves = [
      replaced_by[i][ablation] if i in places else leaf
      for i, leaf in enumerate(intact)
    ]
    carry_N = jax.tree.unflatten(structure, leaves)
    _, y_N = forward(model, params_N, carry_N, after.inputs, after.reset_BT)
    metrics = programs.measure(task, y_N, after)
    cases.append({k: metrics[k] for k in ('loss', 'accuracy') if k in metrics})
  return jax.tree.map(
    lambda *x: np.stack(x, axis=-1, dtype=np.float64), *jax.device_get(cases)
  )


def _by_ablation(figures: np.ndarray, model: Memory) -> dict[str, np.ndarray]:
  """{ablation: `(N, 1 + K)`}; NaN where nothing is noised."""
  parts = np.split(figures, len(ABLATIONS), axis=1)
  found = dict(zip(ABLATIONS, parts, strict=True))
  floats = float_leaves(model)
  noisy = np.array([any(floats), *floats])
  return found | {'noised': np.where(noisy, found['noised'], np.nan)}
