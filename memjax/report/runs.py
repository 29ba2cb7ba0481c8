"""The runs that a report is about, read off their workdirs."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any, TypeVar

import jax

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, require
from memjax.logs import metrics_file
from memjax.logs.metrics_file import Row
from memjax.logs.plots import EVALUATIONS
from memjax.logs.writers import reason
from memjax.models.base import Memory
from memjax.runs.load import Run, load_replicas
from memjax.runs.workdir import read_starts
from memjax.types import Params

T = TypeVar('T')
STYLES = '-', '--', '-.'


@dataclasses.dataclass(frozen=True)
class Subject:
  """A run as the sections of a report see it.

  Attributes:
    name: the end of its path that tells it from the others.
    colour: of its curves, beside those of others.
    style: of its curves; another where colours come again.
    run: its newest checkpoint, with all replicas.
    rows: of its `metrics.jsonl`.
    starts: of its `run.json`.
  """

  name: str
  colour: str
  style: str
  run: Run
  rows: list[Row]
  starts: list[dict[str, Any]]

  @functools.cached_property
  def experiment(self) -> Experiment:
    """What it was trained on.

    Raises:
      ConfigError: the task's data are not here.
    """
    return self.run.experiment

  @property
  def replicas(self) -> int:
    return self.run.config['train']['replicas']

  @property
  def params_N(self) -> Params:
    """Parameters with an axis of replicas, if of one."""
    if self.replicas > 1:
      return self.run.params
    return jax.tree.map(lambda x: x[None], self.run.params)

  @property
  def read(self) -> tuple[Memory, Params, Any]:
    """What an instrument reads: the model, its parameters and the task."""
    return self.run.model, self.params_N, self.experiment.task

  @property
  def first(self) -> Run:
    """The run of the first seed alone."""
    one = jax.tree.map(lambda x: x[0], self.params_N)
    return self.run._replace(params=one)


def gather(workdirs: Sequence[Path]) -> list[Subject]:
  """Reads every run.

  Raises:
    ConfigError: a folder is no workdir, holds no whole checkpoint, or comes
      twice.
  """
  subjects = []
  for i, (name, workdir) in enumerate(
    zip(names(workdirs), workdirs, strict=True)
  ):
    subjects.append(
      Subject(
        name=name,
        colour=EVALUATIONS[i % len(EVALUATIONS)],
        style=STYLES[i // len(EVALUATIONS) % len(STYLES)],
        run=load_replicas(workdir, carry=False),
        rows=metrics_file.read(workdir / 'metrics.jsonl'),
        starts=read_starts(workdir),
      )
    )
  return subjects


def names(workdirs: Sequence[Path]) -> list[str]:
  """The shortest ends of the paths, of one length, that are all different."""
  whole = [workdir.resolve() for workdir in workdirs]
  for path in whole:
    require(whole.count(path) == 1, 'workdir', str(path), 'is named twice')
  for depth in range(1, max(len(path.parts) for path in whole) + 1):
    short = ['/'.join(path.parts[-depth:]) for path in whole]
    if len(set(short)) == len(short):
      break
  return short


def measured(
  subjects: Sequence[Subject], measure: Callable[[Subject], T]
) -> tuple[list[tuple[Subject, T]], list[str]]:
  """What each run shows, and a line for each that shows nothing.

  An instrument is not defined for every task and model, and says so by a
  ConfigError. Whatever else goes wrong is said as well, and the others are
  shown.
  """
  shown, notes = [], []
  for subject in subjects:
    try:
      shown.append((subject, measure(subject)))
    except ConfigError as error:
      said = f'{error.field} {error.value!r} {error.rule}'
      notes.append(f'{subject.name}: {said}')
    except Exception as error:
      notes.append(f'{subject.name}: not measured: {reason(error)}')
  return shown, notes
