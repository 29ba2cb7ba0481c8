"""When a run ends before its last step: patience, and `train.stop_when`."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import numpy as np

from memjax.config.experiment import Experiment
from memjax.runs.best import Figure, figures_of, first_best
from memjax.training import replicas


class EarlyStopping:
  """Follows the metrics that `checkpoint.best` and `train.stop_when` name.

  Replicas stop together. A new best is a new best median over the replicas that
  have not diverged (see `runs/best.py`). So a replica does not stop where it
  would have stopped alone, but where most replicas no longer improve. The same
  median decides about `train.stop_when`, unless all replicas of one setting do.

  The decision is a pure function of the rows of `metrics.jsonl`: a resumed run
  reads them and decides as if it had never stopped.
  """

  def __init__(self, experiment: Experiment, rows: Sequence[Mapping[str, Any]]):
    self._metric = experiment.checkpoint.best
    self._best_is = experiment.checkpoint.best_is
    self._patience = experiment.train.patience
    self._condition = experiment.stop_when
    self._setting_N = replicas.settings(
      experiment.optim, experiment.train.replicas
    )
    self._met = ''
    self._seen: dict[int, Figure] = {}  # by step
    for row in rows:
      self.update(row['step'], figures_of(row))

  def update(self, step: int, figures: Mapping[str, Figure]) -> bool:
    """Whether these figures, of one evaluation, contain a new best."""
    self._met = self._met or self._how_met(step, figures)
    if self._metric not in figures:
      return False
    self._seen[step] = figures[self._metric]
    return self._since_best == 0

  @property
  def end(self) -> str:
    """Why the run ends after the last evaluation; empty: it goes on."""
    if self._met:
      return f'train.stop_when {self._met}'
    if 0 < self._patience <= self._since_best:
      return (
        f'train.patience {self._patience}: no new best {self._metric} in the '
        f'last {self._since_best} evaluations'
      )
    return ''

  def _how_met(self, step: int, figures: Mapping[str, Figure]) -> str:
    """The condition, and the figures that meet it; empty: none do."""
    condition = self._condition
    if condition is None or condition.metric not in figures:
      return ''
    groups = [[median(figures[condition.metric])]]
    if condition.at_one_setting:
      values_N = np.atleast_1d(figures[condition.metric])
      numbers = np.unique(self._setting_N)
      groups = [values_N[self._setting_N == i].tolist() for i in numbers]
    for group in groups:
      if all(map(condition.holds, group)):
        values = ', '.join(f'{value:.6g}' for value in group)
        return f'{condition}: it is {values} at step {step}'
    return ''

  @property
  def _since_best(self) -> int:
    """Number of evaluations after the best one; all, if none is finite."""
    best = first_best(list(self._seen.values()), self._best_is)
    return len(self._seen) - (0 if best is None else best + 1)


def median(figure: Figure) -> float:
  """The median over the finite replicas; NaN if they are less than half."""
  values_N = np.atleast_1d(figure)
  finite = values_N[np.isfinite(values_N)]
  quorum = 0 < len(values_N) <= 2 * len(finite)
  return float(np.median(finite)) if quorum else math.nan
