"""The best evaluation so far, and patience with the ones after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from memjax.training.settings import Experiment


class Watch:
  """Follows the metric that `checkpoint.best` names.

  A pure function of the rows it has seen, so a resumed run that is given the
  rows of `metrics.jsonl` decides as if it had never stopped.
  """

  def __init__(self, experiment: Experiment, rows: Sequence[Mapping[str, Any]]):
    self._metric = experiment.checkpoint.best
    self._sign = -1 if experiment.checkpoint.best_is == 'max' else 1
    self._patience = experiment.train.patience
    self._best = float('inf')
    self._since = 0
    for row in rows:
      self.see({f'{row["split"]}/{k}': v for k, v in row['metrics'].items()})

  def see(self, figures: Mapping[str, float]) -> bool:
    """Whether these figures hold a new best."""
    value = figures.get(self._metric)
    if value is None:
      return False
    if self._sign * value < self._best:
      self._best, self._since = self._sign * value, 0
      return True
    self._since += 1
    return False

  @property
  def exhausted(self) -> bool:
    """Whether patience, where there is any, has run out."""
    return 0 < self._patience <= self._since
