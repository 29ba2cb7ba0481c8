"""What a config describes, built and checked.

The sections themselves are in `sections.py`; here they meet.
"""

import dataclasses
from typing import Any

from memjax.config.sections import (
  Checkpoint,
  Log,
  Optim,
  Parallel,
  Train,
  one_of,
)
from memjax.errors import require
from memjax.evaluation.base import Evaluation
from memjax.models.base import Model
from memjax.tasks.base import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
  """Everything a run is made from, checked."""

  config: dict[str, Any]
  seed: int
  task: Task
  model: Model
  train: Train
  optim: Optim
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
    intervals = {
      'log.every': self.log.every,
      'checkpoint.every': self.checkpoint.every,
    } | {f'evals.{name}.every': e.every for name, e in self.evals.items()}
    for field, every in intervals.items():
      require(
        every % self.train.steps_per_call == 0,
        field,
        every,
        f'must be a multiple of steps_per_call {self.train.steps_per_call}',
      )
    if self.log.sample:
      is_text = self.task.text_tokenizer is not None
      require(is_text, 'log.sample', self.log.sample, 'the task is not text')
      rule = 'must be given, for a sample to go on from'
      require(bool(self.log.prompt), 'log.prompt', '', rule)
    if self.checkpoint.best:
      one_of(
        'checkpoint.best',
        self.checkpoint.best.partition('/')[0],
        tuple(self.evals),
      )
    require(
      not self.train.patience or bool(self.checkpoint.best),
      'train.patience',
      self.train.patience,
      'needs checkpoint.best, the metric to watch',
    )
