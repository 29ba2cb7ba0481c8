"""How attention is spread over lags."""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import Instrument, Places, Result, Row, tidy
from memjax.analysis.intermediates import look, shown_paths
from memjax.analysis.reading import sum_batches
from memjax.analysis.section import Section
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params

LAG_WEIGHTS = 'lag_weights'
NOT_SHOWN = 'the model shows no attention to its own past'


class LagShares(NamedTuple):
  """How attention is spread over R lags.

  Attributes:
    share: {path: `(N, H, R)`}, by lag; NaN if no step had a label.
    steps: number of steps that had a label.
  """

  share: dict[str, np.ndarray]
  steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionByLag(Instrument[LagShares]):
  """The mean weight that each head gives to each lag.

  Attributes:
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.
  """

  title = 'Attention by lag'
  order = 70
  definition = """
    The mean weight that a model gives to each lag, over the steps that have a
    label. A lag is a number of steps back. The weights of a query sum to at
    most 1; the rest belongs to nothing, or to entries whose lag is not known.
    The plot has a panel for each layer, with the mean of its heads. The CSV has
    each head.

    Paper: Bahdanau, Cho & Bengio 2015, https://arxiv.org/abs/1409.0473, whose
    weights show which words are aligned; by distance, Dai et al. 2019,
    https://arxiv.org/abs/1901.02860.

    Units: share of a query's weight; lags in steps.
    """

  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    shown = any(p.endswith(LAG_WEIGHTS) for p in shown_paths(model, task))
    return '' if shown else NOT_SHOWN

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[LagShares]:
    found = attention_by_lag(
      model, params_N, task, self.batch_size, self.batches, self.seed
    )
    rows: list[Row] = []
    for path, share_NHR in found.share.items():
      replicas, heads, lags = map(range, share_NHR.shape)
      axes: dict[str, Places] = {
        'path': [path],
        'replica': replicas,
        'head': heads,
        'lag': lags,
      }
      rows += tidy(axes, {'share': share_NHR})
    units = dict.fromkeys(('path', 'replica', 'head'), '')
    return Result(
      rows, units | {'lag': 'steps', 'share': 'share of weight'}, found
    )

  def show(self, results: Mapping[str, Result[LagShares]]) -> Section:
    plots = line_plots(panels(results, _curves), 'lag, steps')
    return Section(self.title, self.definition, plots)


def _curves(found: LagShares) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  curves = {}
  for path, share_NHR in found.share.items():
    layer = path.partition('/')[0].replace('_', ' ')
    lags = np.arange(share_NHR.shape[-1])
    curves[f'share, {layer}'] = (lags, share_NHR.mean(1))
  return curves


def attention_by_lag(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> LagShares:
  """The attention of every head to lags 0, 1, 2 and so on.

  Args:
    model: any memory that shows `lag_weights`.
    params_N: its parameters, `(N, ...)`.
    task: which rows, and which of their steps have labels.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.

  Raises:
    ConfigError: the model shows no attention to its own past.
  """

  def sums(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
    carry, _, shown = look(model, params, carry, batch.inputs, batch.reset_BT)
    labels_BT = jnp.where(batch.loss_weights_BT > 0, 1.0, 0.0)
    by_lag = {
      path: jnp.einsum('bt,bthr->hr', labels_BT, weights)
      for path, weights in shown.items()
      if path.endswith(LAG_WEIGHTS)
    }
    require(bool(by_lag), 'model', type(model).__name__, NOT_SHOWN)
    return carry, (by_lag, labels_BT.sum())

  total, steps_N = sum_batches(
    model, params_N, task, sums, batch_size, batches, seed
  )
  with np.errstate(invalid='ignore'):
    share = jax.tree.map(lambda sums: sums / steps_N[0], total)
  return LagShares(share, int(steps_N[0]))
