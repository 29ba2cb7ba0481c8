"""What a config describes, built and checked: a run, and what evaluates it.

The sections themselves are in `sections.py`; here they meet.
"""

import dataclasses
from typing import Any

from memjax.config.protocol import check_context
from memjax.config.sections import (
  Checkpoint,
  Log,
  Optim,
  Parallel,
  Train,
  at_least_one,
  one_of,
)
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
  """A named evaluation set: the task and the model, changed for it.

  Attributes:
    every: steps of training between evaluations.
    batch_size: rows of a step; for a corpus the lanes the split is cut into.
    steps: batches to read; 0: the split, every token once.
    task: the task evaluated.
    model: the model evaluated, on the trained parameters.
    evaluated: fields of task and model, {'model.memory.memory': 64}.
    changes: those of them that differ from training.
    segment: of the protocol, as are those that follow and are in `task` and
      `model` by now; 0 and empty stay as in training.
    memory: positions before the segment that the model sees.
    clamp: the distance beyond which all count as this one.
    stride: labels that weigh in a segment, for windows that overlap.
    carry: 'flows' from segment to segment, or 'fresh' at each.
  """

  every: int
  batch_size: int
  steps: int
  task: Task
  model: Memory
  evaluated: dict[str, Any]
  changes: dict[str, Any]
  segment: int = 0
  memory: int = 0
  clamp: int = 0
  stride: int = 0
  carry: str = ''

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """The task's; none for a part of a split, as they are the whole split's."""
    epoch = self.task.epoch_steps(self.batch_size)
    return self.task.baselines if self.steps in (0, epoch) or not epoch else {}

  def __post_init__(self) -> None:
    at_least_one(self, 'every', 'batch_size')
    require(
      self.steps > 0 or self.task.epoch_steps(self.batch_size) > 0,
      'steps',
      self.steps,
      'must be at least 1 for a task that makes its own data',
    )
    check_context(self.task, self.model)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
  """Everything a run is made from, checked."""

  config: dict[str, Any]
  seed: int
  task: Task
  model: Memory
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
      is_text = self.task.tokenizer is not None
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
