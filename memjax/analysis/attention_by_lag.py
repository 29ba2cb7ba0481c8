"""How attention is spread over lags."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import Instrument, Places, Result, Row, tidy
from memjax.analysis.intermediates import Shown, shown_paths
from memjax.analysis.maps import Map, MapPlot
from memjax.analysis.reading import read_shown, total
from memjax.analysis.section import Plot, Section
from memjax.analysis.symbols import symbols
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Params

LAG_WEIGHTS = 'lag_weights'
NOT_SHOWN = 'the model shows no attention to its own past'


class LagShares(NamedTuple):
  """How attention is spread over R lags.

  Attributes:
    share: {path: `(N, H, R)`}, by lag; NaN if no step had a label.
    steps: number of steps that had a label.
    example: {path: `(T, R)`}, of the first replica on one row, the mean over
      heads.
    symbols: what the row holds, if it can be written.
  """

  share: dict[str, np.ndarray]
  steps: int
  example: dict[str, np.ndarray]
  symbols: tuple[str, ...]


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
    each head. The maps below have the first replica's weights on one row, the
    mean of the heads of a layer: to the right the step that reads, upwards the
    step that is read. Steps below 0 were read in earlier segments.

    Paper: Bahdanau, Cho & Bengio 2015, https://arxiv.org/abs/1409.0473, whose
    weights show which words are aligned; by distance, Dai et al. 2019,
    https://arxiv.org/abs/1901.02860.

    Units: share of a query's weight; lags in steps.
    """

  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if any(map(_is_of_lags, shown_paths(model, task))) else NOT_SHOWN

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
    plots: list[Plot] = [*line_plots(panels(results, _curves), 'lag, steps')]
    plots += [_map(run, result.arrays) for run, result in results.items()]
    return Section(self.title, self.definition, plots)


def _map(run: str, found: LagShares) -> MapPlot:
  maps = {
    f'{layer_of(path)}: read step': by_source(weights_TR)
    for path, weights_TR in found.example.items()
  }
  most = max(float(one.values.max()) for one in maps.values())
  return MapPlot(run, maps, found.symbols, most, 'share of weight')


def layer_of(path: str) -> str:
  """'layer 0' of layer_0/memory/lag_weights; with a part of it if named."""
  layer, *_, name = path.split('/')
  part = name.removesuffix(LAG_WEIGHTS).strip('_')
  return ' '.join([layer, part]).replace('_', ' ').strip()


def _curves(found: LagShares) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  curves = {}
  for path, share_NHR in found.share.items():
    lags = np.arange(share_NHR.shape[-1])
    curves[f'share, {layer_of(path)}'] = (lags, share_NHR.mean(1))
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

  def read(
    shown: Shown, batch: Batch
  ) -> tuple[dict[str, jax.Array], jax.Array, dict[str, jax.Array]]:
    labels_BT = jnp.where(batch.loss_weights_BT > 0, 1.0, 0.0)
    by_lag = {
      path: jnp.einsum('bt,bthr->hr', labels_BT, weights)
      for path, weights in shown.items()
    }
    first = {path: weights[0].mean(1) for path, weights in shown.items()}
    return by_lag, labels_BT.sum(), first

  run, sizes = (model, params_N, task), (batch_size, batches, seed)
  found = list(read_shown(*run, _is_of_lags, read, NOT_SHOWN, *sizes))
  by_lag, steps_N = total(found[i][:2] for i in range(batches))
  with np.errstate(invalid='ignore'):
    share = jax.tree.map(lambda sums: sums / steps_N[0], by_lag)
  last = streams.batch_at(
    task, Stream(seed, streams.NUMBER, batch_size), batches - 1
  )
  return LagShares(
    share,
    int(steps_N[0]),
    {path: weights_NTR[0] for path, weights_NTR in found[-1][2].items()},
    tuple(symbols(task, last.inputs[0])),
  )


def by_source(weights_TR: np.ndarray) -> Map:
  """The weights of T steps on earlier steps, from their weights by lag.

  Step 0 is the first of the row; steps before it are in the carry. Steps that
  no later step looks at are left out at the bottom.
  """
  steps, lags = weights_TR.shape
  found = np.zeros((steps, steps + lags - 1))
  for t in range(steps):
    found[t, t : t + lags] = weights_TR[t, ::-1]
  used = np.flatnonzero(found.max(0) > 0)
  low = min(used[0], lags - 1) if used.size else lags - 1
  return Map(found[:, low:], int(low - lags + 1), of_steps=True)


def _is_of_lags(path: str) -> bool:
  return path.endswith(LAG_WEIGHTS)
