"""The runs of a report, read from their workdirs."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, require
from memjax.logs import metrics_file
from memjax.logs.console import first_line
from memjax.logs.metrics_file import Row
from memjax.models.base import Memory
from memjax.runs.load import Run, run_of
from memjax.runs.snapshot import Snapshot
from memjax.runs.workdir import read_run
from memjax.tasks.base import Task
from memjax.types import Params

T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class ReportedRun:
  """A run as the sections of a report see it.

  Attributes:
    name: the end of its path that distinguishes it from the other runs.
    workdir: its folder.
    trained: its newest checkpoint, with all replicas.
    rows: of its `metrics.jsonl`, those that training wrote.
    evaluation_rows: those that `--mode=eval` wrote.
    starts: of its `run.json`.
    diverged: {seed: step} of the replicas that had stopped.
  """

  name: str
  workdir: Path
  trained: Run
  rows: list[Row]
  evaluation_rows: list[Row]
  starts: list[dict[str, Any]]
  diverged: dict[str, int] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def experiment(self) -> Experiment:
    """What it was trained on.

    Raises:
      ConfigError: the task's data are not on this machine.
    """
    return self.trained.experiment

  @property
  def config(self) -> dict[str, Any]:
    return self.trained.config

  @property
  def model(self) -> Memory:
    return self.trained.model

  @property
  def task(self) -> Task:
    """What instruments read; raises as `experiment` does."""
    name = self.held_out_set
    return self.experiment.evals[name].task if name else self.experiment.task

  @functools.cached_property
  def held_out_set(self) -> str:
    """The evaluation set whose rows instruments read; '' for training's task.

    It is the first set, the main set before others, that differs from training
    in the split of the data alone. Generated rows are new in any case.
    """
    trained, sets = self.experiment.task, self.experiment.evals
    for name in dict.fromkeys([self.main_set, *sets]):
      if name in sets and _differs_in_split(sets[name].task, trained):
        return name
    return ''

  @property
  def replicas(self) -> int:
    return self.config['train']['replicas']

  @property
  def main_set(self) -> str:
    """The set that decides which step is the best, else the first set."""
    best = self.config['checkpoint']['best'].partition('/')[0]
    splits = [row['split'] for row in self.rows if row['split'] != 'train']
    return best or next(iter(splits), 'train')

  @property
  def params_N(self) -> Params:
    """The parameters, `(N, ...)`, of the replicas that have not diverged.

    One replica is `(1, ...)`.
    """
    gone = [int(seed) - self.config['seed'] for seed in self.diverged]
    left = [i for i in range(self.replicas) if i not in gone]
    if not gone or not left:
      return self.trained.params
    return jax.tree.map(lambda x: x[np.array(left)], self.trained.params)

  @property
  def first(self) -> Run:
    """The run of the first seed alone."""
    one = jax.tree.map(lambda x: x[0], self.params_N)
    return self.trained._replace(params=one)


def load_runs(workdirs: Sequence[Path]) -> list[ReportedRun]:
  """Loads every run.

  Raises:
    ConfigError: a folder is not a workdir, has no whole checkpoint, or is named
      twice.
  """
  names = short_names(workdirs)
  snapshots = [Snapshot(workdir) for workdir in workdirs]
  return [
    ReportedRun(
      name=name,
      workdir=snapshot.workdir,
      trained=run_of(snapshot, carry=False),
      rows=metrics_file.load_rows(snapshot.workdir / 'metrics.jsonl'),
      evaluation_rows=metrics_file.load_evaluation_rows(
        snapshot.workdir / 'metrics.jsonl'
      ),
      starts=read_run(snapshot.workdir).starts,
      diverged=snapshot.diverged,
    )
    for name, snapshot in zip(names, snapshots, strict=True)
  ]


def _differs_in_split(task: Any, trained: Any) -> bool:
  """Whether both tasks read the same data likewise, but another split of it."""
  if type(task) is not type(trained) or not hasattr(task, 'split'):
    return False
  same = dataclasses.replace(task, split=trained.split) == trained
  return same and task.split != trained.split


def short_names(workdirs: Sequence[Path]) -> list[str]:
  """The shortest ends of the paths, equally deep, that are all different."""
  whole = [workdir.resolve() for workdir in workdirs]
  for path in whole:
    require(whole.count(path) == 1, 'workdir', str(path), 'is named twice')
  for depth in range(1, max(len(path.parts) for path in whole) + 1):
    short = ['/'.join(path.parts[-depth:]) for path in whole]
    if len(set(short)) == len(short):
      break
  return short


def memories(model: Mapping[str, Any]) -> str:
  """The layer of a Stack and the others of a hybrid, or the whole model.

  Args:
    model: the section of the config.
  """
  layers = [model.get('layer', model), *model.get('others', {}).values()]
  names = [layer['name'].rpartition('.')[2] for layer in layers]
  return ', '.join(dict.fromkeys(names))


def measure_runs(
  runs: Sequence[ReportedRun], measure: Callable[[ReportedRun], T]
) -> tuple[dict[str, T], list[str]]:
  """{run: its result}, and a line for each run that failed.

  A failure does not stop the report: the other runs are measured.
  """
  results, notes = {}, []
  for run in runs:
    try:
      results[run.name] = measure(run)
    except ConfigError as error:
      notes.append(f'{run.name}: not measured: {error}')
    except Exception as error:
      notes.append(f'{run.name}: failed: {first_line(error)}')
  return results, notes
