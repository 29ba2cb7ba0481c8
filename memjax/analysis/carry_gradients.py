"""How far back the gradient of the loss reaches, by leaves of the carry."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.across_runs import (
  format_median,
  line_plots,
  panels,
  run_table,
)
from memjax.analysis.base import Instrument, Places, Result, loss_unit, tidy
from memjax.analysis.half_life import HALF_LIVES, half_life, longest, norms
from memjax.analysis.section import Section
from memjax.analysis.segment_boundaries import (
  EMPTY_CARRY,
  float_leaves,
  is_float,
  leaf_names,
  require_carry,
  segment_boundaries,
)
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params

NO_FLOATS = 'the carry has no floats to differentiate by'
PANELS = 4  # leaves that the plot has, at most
Read = Callable[[Params, Carry, Batch], tuple[jax.Array, jax.Array]]


class CarryGradientNorms(NamedTuple):
  """Norms at G lags for K leaves.

  Attributes:
    leaves: the paths of the leaves.
    lags: `(G,)` int, those that have labels, increasing.
    norm: `(N, K, G)` float64; NaN for leaves that do not hold floats.
    half_life: `(N, K)`, in steps, as `half_life.half_life` returns it.
    labels: `(G,)`, number of labels that each figure is a mean of.
  """

  leaves: tuple[str, ...]
  lags: np.ndarray
  norm: np.ndarray
  half_life: np.ndarray
  labels: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarryGradients(Instrument[CarryGradientNorms]):
  """The norm of the gradient of the loss by the carry, by lag and leaf.

  Attributes:
    lags: the number of lags, at most.
    batch_size: rows in a batch.
    batches: number of segment boundaries.
    cut: for an episode, the position that the row is cut before; 0: the middle.
    seed: of the rows.
  """

  title = 'Carry gradients'
  order = 60
  definition = """
    With l_t the loss on a label at step t and C a leaf of the carry before step
    t - lag, the figure at a lag is the mean over labels of |dl_t / dC|. The
    carry is that at a segment boundary, or in the middle of an episode. The
    norm is Euclidean, over all numbers of the leaf in the label's row. A label
    counts only if no reset lies between it and the boundary. The half-life is
    the number of steps, from the first lag that has a label, after which the
    norm has fallen to one half. If the norm falls, but not that far, it is at
    least the number of steps to the last lag. If the norm does not fall, there
    is no half-life.
    The plot has at most four leaves; the table and the CSV have all.

    Paper: Bengio, Simard & Frasconi 1994, https://doi.org/10.1109/72.279181:
    such norms fall or grow exponentially. The figures here are means of them.

    Units: loss (nats per label for classes, otherwise as the task defines it)
    per unit of the leaf; lags and half-lives in steps.
    """

  lags: int = 32
  batch_size: int = 32
  batches: int = 4
  cut: int = 0
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    if not leaf_names(model):
      return EMPTY_CARRY
    return '' if any(float_leaves(model)) else NO_FLOATS

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[CarryGradientNorms]:
    found = carry_gradients(
      model,
      params_N,
      task,
      self.lags,
      self.batch_size,
      self.batches,
      self.seed,
      self.cut,
    )
    replicas = range(len(found.norm))
    axes: dict[str, Places] = {
      'replica': replicas,
      'leaf': found.leaves,
      'lag': found.lags,
    }
    figures = {
      'gradient_norm': found.norm,
      'half_life': found.half_life[..., None],
      'labels': found.labels,
    }
    units = {'replica': '', 'leaf': '', 'lag': 'steps'}
    units |= {'gradient_norm': f'{loss_unit(task)} per unit of the leaf'}
    units |= {'half_life': 'steps', 'labels': ''}
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[CarryGradientNorms]]) -> Section:
    curves = panels(results, _curves)
    shown = np.linspace(0, len(curves) - 1, min(len(curves), PANELS)).round()
    curves = {m: c for i, (m, c) in enumerate(curves.items()) if i in shown}
    cells = {
      run: {
        leaf: format_median(half_life_N, longest(r.arrays.lags))
        for i, (leaf, half_life_N) in enumerate(
          zip(r.arrays.leaves, r.arrays.half_life.T, strict=True)
        )
        if np.isfinite(r.arrays.norm[:, i]).any()  # the leaf holds floats
      }
      for run, r in results.items()
    }
    plots = line_plots(curves, 'lag, steps')
    table = run_table(cells, HALF_LIVES)
    return Section(self.title, self.definition, plots, tables=[table])


def _curves(
  found: CarryGradientNorms,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  return {
    f'gradient norm, {leaf}': (found.lags, found.norm[:, i])
    for i, leaf in enumerate(found.leaves)
  }


def carry_gradients(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: int = 32,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  cut: int = 0,
) -> CarryGradientNorms:
  """One backward pass for each lag, of all rows at once.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: for a text, the carry is that between two segments.
    lags: number of lags, at most; fewer steps may follow the boundary.
    batch_size: rows.
    batches: number of boundaries, at most; an epoch may have fewer.
    seed: of the rows.
    cut: for an episode, the position that the row is cut before; 0: the middle.

  Raises:
    ConfigError: the carry is empty, no label follows within the lags, or the
      cut is not inside an episode.
  """
  require(lags >= 1, 'lags', lags, 'must be at least 1')
  require_carry(model)
  names, read = leaf_names(model), _reader(model, task, lags)
  total, labels = np.zeros(()), np.zeros((), int)
  for carry_N, after in segment_boundaries(
    model, params_N, task, cut, batch_size, batches, seed
  ):
    norm, count = jax.device_get(read(params_N, carry_N, after))
    total, labels = total + norm.astype(np.float64), labels + count
  lag = np.flatnonzero(labels)
  rule = 'no label follows a segment boundary within this number of steps'
  require(lag.size > 0, 'lags', lags, rule)
  norm = total[..., lag] / labels[lag]
  return CarryGradientNorms(names, lag, norm, half_life(norm, lag), labels[lag])


def _reader(model: Memory, task: Task, lags: int) -> Read:
  """Sums over rows of the norms, `(N, K, G)`, and labels, `(G,)`."""

  def by_lag(params: Params, carry: Carry, near: Batch) -> jax.Array:
    leaves, structure = jax.tree.flatten(carry)
    floats = {i: leaf for i, leaf in enumerate(leaves) if is_float(leaf)}

    def at(place: jax.Array) -> jax.Array:
      of_labels = jax.tree.map(lambda x: x[:, place][:, None], near)

      def loss(floats: dict[int, jax.Array]) -> jax.Array:
        carry = [floats.get(i, leaf) for i, leaf in enumerate(leaves)]
        carry = jax.tree.unflatten(structure, carry)
        _, y = apply(model, params, carry, near.inputs, near.reset_BT)
        y = y[:, place][:, None]
        return streams.label_losses(task, y, of_labels).sum()

      found = jax.tree.map(lambda g: norms(g).sum(), jax.grad(loss)(floats))
      return jnp.stack([found.get(i, jnp.nan) for i in range(len(leaves))])

    return jax.lax.map(at, jnp.arange(near.reset_BT.shape[1])).T

  @jax.jit
  def read(
    params_N: Params, carry_N: Carry, after: Batch
  ) -> tuple[jax.Array, jax.Array]:
    near = jax.tree.map(lambda x: x[:, :lags], after)
    reached_BT = jnp.cumsum(near.reset_BT, axis=1) == 0
    loss_weights_BT = jnp.where(reached_BT, near.loss_weights_BT, 0.0)
    near = near._replace(loss_weights_BT=loss_weights_BT)
    norm = jax.vmap(by_lag, (0, 0, None))(params_N, carry_N, near)
    return norm, (loss_weights_BT > 0).sum(0)

  return read
