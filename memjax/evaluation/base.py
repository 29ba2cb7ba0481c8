"""The contract of every evaluation: a class that a config names.

    evals.validation = {'name': 'stream.Loss', 'every': 1000, ...}

`{'name': 'file.Class'}` finds a class of this folder; a full path finds the
user's own. A new evaluation is one file.
"""

import abc
from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple, Protocol
import zlib

from jax.sharding import Mesh
import numpy as np

from memjax.errors import require, require_at_least_one
from memjax.evaluation.protocol import check_overlap
from memjax.models.base import Model
from memjax.tasks.base import Stream, Task
from memjax.types import Metrics, Params

Figures = dict[str, np.ndarray]  # {metric: () or (N,)}


class DocumentMetrics(NamedTuple):
  """The metrics of one document.

  Attributes:
    number: its place in the set, from 0.
    name: its name.
    metrics: its sums and counts, each `(N,)` on the host.
  """

  number: int
  name: str
  metrics: Metrics


class Measured(NamedTuple):
  """What an evaluation measured.

  Attributes:
    figures: those of the whole set.
    documents: the metrics of its documents, if the set asks for them.
  """

  figures: Figures
  documents: tuple[DocumentMetrics, ...] = ()


Measure = Callable[[Params], Measured]


@dataclasses.dataclass(frozen=True)
class KnownMeasure:
  """A measure whose metrics are known before anything is computed.

  Attributes:
    measure: the function from the parameters.
    metrics: the names of the metrics; compiles nothing.
  """

  measure: Measure
  metrics: Callable[[], set[str]]

  def __call__(self, params: Params) -> Measured:
    return self.measure(params)


class TrainSettings(Protocol):
  """What an evaluation may ask of the train section."""

  @property
  def dtype(self) -> str:
    """The compute type."""

  @property
  def replicas(self) -> int:
    """N, the number of replicas."""


class ParallelSettings(Protocol):
  """What an evaluation may ask of the section `parallel`."""

  @property
  def determinism(self) -> str:
    """'fixed' or 'elastic'."""


class Training(Protocol):
  """What an evaluation may ask of the run it belongs to."""

  @property
  def seed(self) -> int:
    """The seed of the run."""

  @property
  def train(self) -> TrainSettings:
    """The train section."""

  @property
  def parallel(self) -> ParallelSettings:
    """The parallel section."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(abc.ABC):
  """A named evaluation set, and how it is measured.

  A subclass may add fields; a config sets them beside these.

  Attributes:
    every: steps of training between evaluations; 0: the set is left out.
    batch_size: rows of a step; of a text, the streams its split is cut into.
    steps: batches to read; 0: every label of the split once.
    task: the task evaluated.
    model: the model evaluated, on the trained parameters.
    set_name: the set's name in the config.
    fields: every field of task and model, {'model.layer.window': 64}.
    changes: those of them that differ from training.
  """

  every: int
  batch_size: int
  steps: int
  task: Task
  model: Model
  set_name: str
  fields: dict[str, Any]
  changes: dict[str, Any]

  def __post_init__(self) -> None:
    require_at_least_one(self, 'every', 'batch_size')
    require(
      self.number_of_steps > 0,
      'steps',
      self.steps,
      'must be at least 1 for a task that makes its own data',
    )
    check_overlap(self.task, self.model)

  @abc.abstractmethod
  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    """A function from parameters to what was measured, called many times.

    Args:
      training: the run's experiment.
      mesh: where the arrays lie.

    Returns:
      A function from the parameters, with a leading axis N where the run has
      replicas, to the set's figures. A `KnownMeasure` says the metrics
      beforehand, so that a wrong name in a config is refused before the first
      step; else it is after the first evaluation.

    Raises:
      ConfigError: the evaluation is not defined for this task or model.
    """

  @property
  def number_of_steps(self) -> int:
    """Batches that are read."""
    return self.steps or self.task.epoch_steps(self.batch_size)

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """The task's; none for a part of a split, as they are the whole split's."""
    epoch = self.task.epoch_steps(self.batch_size)
    return self.task.baselines if self.steps in (0, epoch) or not epoch else {}

  def stream(self, seed: int) -> Stream:
    """The set's batches: never those of training or of another set."""
    number = zlib.crc32(self.set_name.encode()) | 1 << 31
    return Stream(seed, number, self.batch_size)
