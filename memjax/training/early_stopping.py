"""The best evaluation so far, and the patience for those after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from memjax.config.experiment import Experiment
from memjax.runs.best import Figure, figures_of, first_best


class EarlyStopping:
  """Follows the metric that `checkpoint.best` names.

  Replicas stop together. A new best is a new best median over the replicas that
  have not diverged (see `runs/best.py`). So a replica does not stop where it
  would have stopped alone, but where most replicas no longer improve.

  The decision is a pure function of the rows of `metrics.jsonl`: a resumed run
  reads them and decides as if it had never stopped.
  """

  def __init__(self, experiment: Experiment, rows: Sequence[Mapping[str, Any]]):
    self._metric = experiment.checkpoint.best
    self._best_is = experiment.checkpoint.best_is
    self._patience = experiment.train.patience
    self._seen: list[Figure] = []
    for row in rows:
      self._record(figures_of(row))

  def update(self, figures: Mapping[str, Figure]) -> bool:
    """Whether these figures, of one evaluation, contain a new best."""
    return self._record(figures) and self._since_best == 0

  @property
  def exhausted(self) -> bool:
    """Whether `train.patience` evaluations have passed without a new best."""
    return 0 < self._patience <= self._since_best

  def _record(self, figures: Mapping[str, Figure]) -> bool:
    """Whether the figures contain the metric."""
    if self._metric not in figures:
      return False
    self._seen.append(figures[self._metric])
    return True

  @property
  def _since_best(self) -> int:
    """Number of evaluations after the best one; all, if none is finite."""
    best = first_best(self._seen, self._best_is)
    return len(self._seen) - (0 if best is None else best + 1)
