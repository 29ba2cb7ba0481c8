"""The contract of instruments: what they measure, and where they are defined.

To add an instrument, add one file to this folder with a subclass of
`Instrument`. The report finds it there.
"""

import abc
from collections.abc import Iterable, Mapping, Sequence
import csv
import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from memjax.analysis.section import Section
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Params

T = TypeVar('T')
Row = dict[str, Any]
Places = Sequence[Any] | np.ndarray
SHARES = {
  'accuracy': 'share of labels',
  'recall': 'share of labels',
  'exact_match': 'share of rows',
}


@dataclasses.dataclass(frozen=True)
class Result(Generic[T]):
  """What an instrument measured on one run.

  Attributes:
    rows: tidy: each row is one observation, {column: value}. All rows have the
      same columns.
    units: {column: its unit}, '' for names and counts.
    arrays: the same figures, and more, as typed arrays.
  """

  rows: Sequence[Row]
  units: Mapping[str, str]
  arrays: T

  def __post_init__(self) -> None:
    for row in self.rows:
      if row.keys() != self.units.keys():
        raise ValueError(f'columns {[*row]} have units for {[*self.units]}')

  def write_csv(self, path: Path) -> None:
    """Writes the rows; the head of a column is `name [unit]`."""
    _write_csv(self.rows, self.units, path)


class Finding(NamedTuple):
  """What an instrument says about a run in the verdict, at the page's top.

  Attributes:
    cells: {column of the table: what it says}.
    clause: a part of the sentence about the run, which follows its name:
      'uses its memory: +6.3 nats without it'; '' for none.
  """

  cells: Mapping[str, str] = {}
  clause: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instrument(abc.ABC, Generic[T]):
  """One measurement of what a trained memory remembers.

  A subclass is a frozen dataclass. Its fields are the sizes of the measurement;
  their defaults are those of a report. It sets the class attributes and
  implements `measure` and `show`.

  Attributes:
    title: the title of its section.
    definition: what is measured, with formulas, papers and units, as a section
      shows it.
    order: where the report shows it, ascending.
    in_report: False for a measurement that takes long; a report has it only if
      `--sections` names it.
  """

  title: ClassVar[str]
  definition: ClassVar[str]
  order: ClassVar[int] = 1000
  in_report: ClassVar[bool] = True

  def defined(self, model: Memory, task: Task) -> str:
    """Why this model or task cannot be measured, in one line; '' if it can.

    Needs no parameters and runs no program.
    """
    del model, task
    return ''

  @abc.abstractmethod
  def measure(self, model: Memory, params_N: Params, task: Task) -> Result[T]:
    """Measures all replicas of one run.

    Args:
      model: a memory for which `defined` returns ''.
      params_N: its parameters, `(N, ...)`; one replica is `(1, ...)`.
      task: what the model reads.

    Raises:
      ConfigError: the sizes do not fit the task.
    """

  @abc.abstractmethod
  def show(self, results: Mapping[str, Result[T]]) -> Section:
    """The section that compares runs.

    Args:
      results: {name of a run: its result}, at least one.
    """

  def findings(self, results: Mapping[str, Result[T]]) -> dict[str, Finding]:
    """What the figures say about each run, {run: finding}; {} for nothing.

    Args:
      results: as `show` gets them.
    """
    del results
    return {}


def tidy(
  axes: Mapping[str, Places], figures: Mapping[str, np.ndarray]
) -> list[Row]:
  """A row for each point of the axes, {axis: place, figure: value}.

  Args:
    axes: {name: its places}, for example {'replica': [0, 1], 'lag': [0, 1, 2]}.
    figures: {name: array}; each array broadcasts to the lengths of the axes.
  """
  places = [np.asarray(values).tolist() for values in axes.values()]
  shape = tuple(map(len, places))
  columns = [
    np.broadcast_to(values, shape).ravel().tolist()
    for values in figures.values()
  ]
  points = itertools.product(*places)
  names = [*axes, *figures]
  return [
    dict(zip(names, (*point, *values), strict=True))
    for point, *values in zip(points, *columns, strict=True)
  ]


def write_csv(results: Mapping[str, Result[Any]], path: Path) -> None:
  """Writes the rows of several runs; the first column is the run's name."""
  units = {'run': ''}
  for result in results.values():
    units |= result.units
  rows = [
    {'run': run} | row for run, result in results.items() for row in result.rows
  ]
  _write_csv(rows, units, path)


def loss_unit(task: Task) -> str:
  """The unit of a task's loss: nats for classes, else the task's own."""
  return 'nats per label' if task.output_spec.classes else "the task's loss"


def metric_units(task: Task, metrics: Iterable[str]) -> dict[str, str]:
  """{metric: its unit} for the metrics of a task."""
  return {
    name: loss_unit(task) if name == 'loss' else SHARES.get(name, '')
    for name in metrics
  }


def _write_csv(
  rows: Sequence[Row], units: Mapping[str, str], path: Path
) -> None:
  head = [f'{name} [{unit}]' if unit else name for name, unit in units.items()]
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(head)
    writer.writerows([row.get(name, '') for name in units] for row in rows)
