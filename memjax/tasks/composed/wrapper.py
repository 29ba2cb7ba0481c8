"""A task around another one, whose data it reads."""

import dataclasses

import jax
import numpy as np

from memjax.data.tokenizers import Tokenizer
from memjax.errors import ConfigError
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, HostBatch, Metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrapper(Task):
  """A task that changes the batches of another one.

  What is asked of the data is answered by the inner task.

  Attributes:
    task: the inner task.
  """

  task: Task

  def prepare(self) -> None:
    try:
      self.task.prepare()
    except ConfigError as error:
      raise error.within('task') from None

  @property
  def length(self) -> int:
    return self.task.length

  @property
  def text_tokenizer(self) -> Tokenizer | None:
    return self.task.text_tokenizer

  def with_tokenizer(self, tokenizer: Tokenizer | None) -> 'Wrapper':
    task = self.task.with_tokenizer(tokenizer)
    return dataclasses.replace(self, task=task)

  def describe(self) -> list[str]:
    return self.task.describe()

  def data_faults(self) -> list[str]:
    return self.task.data_faults()

  def fingerprint(self) -> str:
    return self.task.fingerprint()

  def epoch_steps(self, batch_size: int) -> int:
    return self.task.epoch_steps(batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    return self.task.rows(stream, step, row_ids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SameLabels(Wrapper):
  """A wrapper that keeps the labels, metrics and baselines of the task."""

  @property
  def score_axis(self) -> str:  # type: ignore[override]
    return self.task.score_axis

  @property
  def measures_positions(self) -> bool:  # type: ignore[override]
    return self.task.measures_positions

  @property
  def labels(self) -> int:
    return self.task.labels

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return self.task.baselines

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return self.task.measure(y, batch)
