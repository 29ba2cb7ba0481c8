"""What a config describes, built and checked.

The sections themselves are in `sections.py`; here they meet.
"""

import dataclasses
import math
from typing import Any

from memjax.config.adapt import Adapt
from memjax.config.parallel import Parallel
from memjax.config.sections import (
  Checkpoint,
  Log,
  Optim,
  Train,
  one_of,
)
from memjax.config.stop_when import Condition, parse_condition
from memjax.errors import require
from memjax.evaluation.base import Evaluation
from memjax.models.base import Model
from memjax.tasks.base import Task

MOST_ROWS = 10_000_000  # of training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
  """Everything a run is made from, checked."""

  config: dict[str, Any]
  seed: int
  task: Task
  model: Model
  train: Train
  optim: Optim
  adapt: Adapt
  evals: dict[str, Evaluation]
  checkpoint: Checkpoint
  parallel: Parallel
  log: Log

  @property
  def segment_length(self) -> int:
    """Steps of time per call of the model."""
    return self.train.segment_length or self.task.length

  def describe(self) -> list[str]:
    """Lines about the data of training and of the evaluation sets."""
    lines = self.task.describe()
    for name, evaluation in self.evals.items():
      own = [x for x in evaluation.task.describe() if x not in lines]
      lines += [f'evals.{name}: {line}' for line in own]
    return lines

  @property
  def stop_when(self) -> Condition | None:
    """The condition of `train.stop_when`."""
    return parse_condition('train.stop_when', self.train.stop_when)

  @property
  def watched(self) -> dict[str, str]:
    """The metrics that decide about the run, by the field that names them."""
    watched = {'checkpoint.best': self.checkpoint.best}
    if self.stop_when:
      watched['train.stop_when'] = self.stop_when.metric
    return {field: metric for field, metric in watched.items() if metric}

  @property
  def intervals(self) -> dict[str, int]:
    """Steps between rows, saves and evaluations, by the field that sets it."""
    return {
      'log.every': self.log.every,
      'checkpoint.every': self.checkpoint.every,
    } | {f'evals.{name}.every': e.every for name, e in self.evals.items()}

  def steps_per_call(self, start: int = 0) -> int:
    """Steps in one dispatch to the device, of a run that goes on from `start`.

    The largest number up to `train.steps_per_call` that divides `train.steps`,
    every interval and `start`.
    """
    common = math.gcd(start, self.train.steps, *self.intervals.values())
    most = min(self.train.steps_per_call, common)
    return next(n for n in range(most, 0, -1) if common % n == 0)

  def __post_init__(self) -> None:
    segment, length = self.segment_length, self.task.length
    require(
      length % segment == 0,
      'train.segment_length',
      segment,
      f"must divide the task's length {length}",
    )
    require(
      (length // segment) % self.train.bptt_segments == 0,
      'train.bptt_segments',
      self.train.bptt_segments,
      f'must divide the {length // segment} segments of a row',
    )
    rule = 'must be 0 with several parts or elastic devices'
    whole = self.train.grad_accum_steps == 1
    whole &= self.parallel.determinism == 'fixed'
    clip = self.optim.row_clip_norm
    require(whole or not clip, 'optim.row_clip_norm', clip, rule)
    if self.log.sample:
      is_text = self.task.text_tokenizer is not None
      require(
        is_text, 'log.sample', self.log.sample, 'no tokenizer: set it to 0'
      )
    for field, metric in self.watched.items():
      rule = 'no evaluation set is measured'
      require(bool(self.evals), field, metric, rule)
      one_of(field, metric.partition('/')[0], tuple(self.evals))
    rows, every = self.train.steps // self.log.every, self.log.every
    least = self.train.steps // (MOST_ROWS + 1) + 1
    rule = f'makes {rows} rows, more than {MOST_ROWS}; at least {least} fits'
    require(rows <= MOST_ROWS, 'log.every', every, rule)
    require(
      not self.train.patience or bool(self.checkpoint.best),
      'train.patience',
      self.train.patience,
      'needs checkpoint.best, the metric to watch',
    )
