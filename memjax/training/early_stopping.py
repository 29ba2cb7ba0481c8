"""The best evaluation so far, and patience with the ones after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from memjax.config.experiment import Experiment
from memjax.runs.best import Figure, figures_of, first_best


class EarlyStopping:
  """Follows the metric that `checkpoint.best` names.

  Replicas go on and stop together: a new best is one of their median, and who
  diverged has no say in it, as `best.py` has it. So a replica is not stopped
  where it would have been alone, but where most of them stand still.

  A pure function of the rows it has seen, so a resumed run that is given the
  rows of `metrics.jsonl` decides as if it had never stopped.
  """

  def __init__(self, experiment: Experiment, rows: Sequence[Mapping[str, Any]]):
    self._metric = experiment.checkpoint.best
    self._best_is = experiment.checkpoint.best_is
    self._patience = experiment.train.patience
    self._seen: list[Figure] = []
    for row in rows:
      self._take(figures_of(row))

  def update(self, figures: Mapping[str, Figure]) -> bool:
    """Whether these figures hold a new best."""
    return self._take(figures) and self._since_best == 0

  @property
  def exhausted(self) -> bool:
    """Whether patience, where there is any, has run out."""
    return 0 < self._patience <= self._since_best

  def _take(self, figures: Mapping[str, Figure]) -> bool:
    """Whether they hold the metric."""
    if self._metric not in figures:
      return False
    self._seen.append(figures[self._metric])
    return True

  @property
  def _since_best(self) -> int:
    """Evaluations after the best one; all, if none was a number."""
    best = first_best(self._seen, self._best_is)
    return len(self._seen) - (0 if best is None else best + 1)
