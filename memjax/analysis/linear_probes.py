"""Linear probes: which past inputs can be recovered from the carry."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import numpy as np

from memjax.analysis import ridge, state_size
from memjax.analysis.across_runs import (
  format_median,
  line_plots,
  panels,
  run_table,
)
from memjax.analysis.base import Finding, Instrument, Places, Result, tidy
from memjax.analysis.probe_states import collect_states, scores
from memjax.analysis.section import Section
from memjax.analysis.segment_boundaries import (
  EMPTY_CARRY,
  leaf_names,
  require_carry,
)
from memjax.errors import require
from memjax.logs.plots import INK, Curve
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Params

ALL = 'all'
BITS = 'bits of state per remembered symbol'


class ProbeScores(NamedTuple):
  """What can be recovered, by lag.

  Attributes:
    metric: 'accuracy' for tokens, 'R2' for features.
    lags: `(L,)` int steps back; 0 is the last step read.
    score: {'all', or a leaf if there are several, '1/k_BMGK': `(N, L)`}; NaN
      where the input is always the same.
    chance: `(L,)`, the score without the carry.
    entropy: `(L,)`, of the token, in bits; NaN for features.
    classes: V for tokens, 0 for features.
    states: number of states that the score is measured on.
    density: bits of state per symbol, for tokens; None for features.
  """

  metric: str
  lags: np.ndarray
  score: dict[str, np.ndarray]
  chance: np.ndarray
  entropy: np.ndarray
  classes: int
  states: int
  density: state_size.Density | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearProbes(Instrument[ProbeScores]):
  """Which past inputs a ridge regression recovers from the carry, by lag.

  Attributes:
    lags: the number of lags, at most half of a row.
    batch_size: states in a batch.
    batches: number of batches.
    seed: of the rows.
  """

  title = 'Linear probes'
  order = 40
  definition = f"""
    Rows are read up to some step t. For each lag, a ridge regression from the
    carry after step t predicts the input of step t - lag. A token is predicted
    as a one-hot vector, whose largest entry counts, and a sentence as the
    number of times it has each word. Features are predicted as they are. The
    states are split in the order of reading: three fifths to fit, one fifth to
    choose the strength of the penalty, one fifth to score. Each leaf of the
    carry is probed, and all leaves together, where each leaf has the same
    variance. Floats are read as they are; integers and booleans are read as
    one-hot codes, as an embedding would read them.

    The score is a lower bound of what the carry stores, because a memory may
    store it in a way that is not linear. With fewer states than numbers in the
    carry, probes are weak. The dotted line is the score without the carry: the
    share of the most common token, or 0 for features.

    Units: for tokens the accuracy, as a share of tokens; for features R2, the
    share of the variance that is explained; lags in steps.

    Rows that begin with a reset are probed at steps spread evenly from the
    largest lag to the end. Other rows, the segments of a text, are probed at
    their end. If a row has more resets, a lag may lead to an input before a
    reset, which was forgotten.

    Paper: Alain & Bengio 2016, https://arxiv.org/abs/1610.01644.
    {state_size.DEFINITION}"""

  lags: int = 32
  batch_size: int = 32
  batches: int = 16
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if leaf_names(model) else EMPTY_CARRY

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[ProbeScores]:
    lags = np.arange(min(max(task.length // 2, 1), self.lags))
    found = fit_probes(
      model, params_N, task, lags, self.batch_size, self.batches, self.seed
    )
    axes: dict[str, Places] = {
      'leaf': list(found.score),
      'replica': range(len(found.score[ALL])),
      'lag': lags,
    }
    figures = {
      found.metric: np.stack(list(found.score.values())),
      f'{found.metric}_without_carry': found.chance,
      'entropy': found.entropy,
    }
    of_score = 'share of tokens' if found.classes else 'share of variance'
    units = {'leaf': '', 'replica': '', 'lag': 'steps'}
    units |= dict.fromkeys(figures, of_score) | {'entropy': 'bits'}
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[ProbeScores]]) -> Section:
    curves = panels(results, lambda f: {f.metric: (f.lags, f.score[ALL])})
    for found in (result.arrays for result in results.values()):
      lags, chance = found.lags.tolist(), found.chance.tolist()
      without = Curve('without the carry', INK, lags, chance, ':')
      if without not in curves.setdefault(found.metric, []):
        curves[found.metric].append(without)
    cells = {
      run: _cells(r.arrays.density, r.arrays.lags)
      for run, r in results.items()
      if r.arrays.density
    }
    caption = 'State and recalled symbols'
    tables = [run_table(cells, caption)] if cells else []
    plots = line_plots(curves, 'lag, steps')
    return Section(self.title, self.definition, plots, tables=tables)

  def findings(
    self, results: Mapping[str, Result[ProbeScores]]
  ) -> dict[str, Finding]:
    return {
      run: Finding({BITS: format_median(r.arrays.density.bits_per_symbol)})
      for run, r in results.items()
      if r.arrays.density
    }


def _cells(density: state_size.Density, lags: np.ndarray) -> dict[str, str]:
  return {
    'bits of state': f'{density.state_bits:,}',
    f'symbols recalled of the last {len(lags)}': format_median(density.symbols),
    BITS: format_median(density.bits_per_symbol),
  }


def fit_probes(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: np.ndarray,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> ProbeScores:
  """Probes every leaf of the carry for the inputs of `lags` steps ago.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    lags: `(L,)` increasing ints, at least 0 and below the task's length.
    batch_size: states in a batch.
    batches: number of batches; at least 10 states in all.
    seed: of the rows.

  Raises:
    ConfigError: the carry is empty, a lag is out of bounds, or there are fewer
      than 10 states.
  """
  lags = np.asarray(lags)
  fits = lags.size > 0 and lags[0] >= 0 and lags[-1] < task.length
  rule = f'must increase from at least 0 to at most {task.length - 1}'
  fits = fits and bool((np.diff(lags) > 0).all())
  require(bool(fits), 'lags', lags.tolist(), rule)
  total = batch_size * batches
  rule = f'gives {total} states; at least 10 are needed'
  require(total >= 10, 'batches', batches, rule)
  require_carry(model)
  names = _names(model)
  leaves, inputs = collect_states(
    model, params_N, task, lags, batch_size, batches, seed
  )
  target_SLO = task.input_spec.indicators(inputs)
  score: dict[str, list[np.ndarray]] = {name: [] for name in names}
  for replica in range(len(leaves[0])):
    kernels = [ridge.kernel(leaf[replica]) for leaf in leaves]
    if len(kernels) > 1:
      kernels.append(np.sum(kernels, axis=0))
    for name, kernel_SS in zip(score, kernels, strict=True):
      predicted_SLO = ridge.predict(kernel_SS, target_SLO)
      score[name].append(scores(task.input_spec, predicted_SLO, target_SLO))
  mean_SLO = ridge.predict_mean(target_SLO)
  found = ProbeScores(
    metric='R2',
    lags=lags,
    score={name: np.stack(rows) for name, rows in score.items()},
    chance=scores(task.input_spec, mean_SLO, target_SLO),
    entropy=np.full(lags.shape, np.nan),
    classes=0,
    states=len(mean_SLO),
    density=None,
  )
  if task.input_spec.classes:
    return _of_tokens(found, model, target_SLO)
  return found


def _of_tokens(
  found: ProbeScores, model: Memory, target_SLV: np.ndarray
) -> ProbeScores:
  """The scores of tokens, with their entropy and the density of the state."""
  share_LV = target_SLV.mean(0)
  positive_LV = np.where(share_LV > 0, share_LV, 1)
  entropy_L = -(share_LV * np.log2(positive_LV)).sum(1)
  classes = target_SLV.shape[-1]
  density = state_size.density(
    model, found.score[ALL], found.chance, entropy_L, classes
  )
  return found._replace(
    metric='accuracy', entropy=entropy_L, classes=classes, density=density
  )


def _names(model: Memory) -> list[str]:
  """The paths of the carry's leaves if there are several, and 'all'."""
  names = leaf_names(model)
  return [*names, ALL] if len(names) > 1 else [ALL]
