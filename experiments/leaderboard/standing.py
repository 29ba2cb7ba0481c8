"""From records to a table: the rate of each memory, and its figures there.

The rate is chosen on validation rows. What the table shows is measured on other
rows, on which nothing was chosen.
"""

from collections.abc import Iterable, Sequence
import math
from typing import NamedTuple

import numpy as np

from experiments.leaderboard.grid import BEYOND, RATES, SOLVED, Cell
from experiments.leaderboard.records import (
  FINISHED,
  Record,
  rows_to_learn,
)
from experiments.leaderboard.tasks import TASKS


class Rate(NamedTuple):
  """The replicas of a record that have one learning rate.

  Attributes:
    record: the cell's.
    rate: their learning rate.
    places: of these replicas among all of the record.
  """

  record: Record
  rate: float
  places: list[int]

  def scores(self, split: str) -> list[float]:
    """The scores of the seeds; one that has diverged has the worst."""
    task = TASKS[self.record['task']]
    values = self.record['scores'][split][task.metric]
    return [worst(values[i], task.highest) for i in self.places]

  def quality(self) -> tuple[float, float]:
    """What the rate is chosen by: validation score, then validation loss."""
    sign = 1 if TASKS[self.record['task']].highest else -1
    losses = self.record['scores']['validation']['loss']
    loss = np.median([worst(losses[i], False) for i in self.places])
    return sign * float(np.median(self.scores('validation'))), -float(loss)


class Standing(NamedTuple):
  """A memory of one width on one task, at its chosen rate.

  Attributes:
    record: of the cell with this rate.
    rate: the learning rate.
    rates: all rates with a result.
    low: first quartile over seeds, on the rows of `Task.judged_on`.
    median: their median.
    high: their third quartile.
    test: the median on rows like those of training.
    each_learnt: training rows until each seed had learnt; infinite: never.
    learnt: their median.
    solved: whether the median on validation rows is at SOLVED.
  """

  record: Record
  rate: float
  rates: tuple[float, ...]
  low: float
  median: float
  high: float
  test: float
  each_learnt: tuple[float, ...]
  learnt: float
  solved: bool


def standings(records: Iterable[Record]) -> list[Standing]:
  """One for each memory, width and task with a result."""
  groups: dict[tuple[str, str, int], list[Rate]] = {}
  for record in records:
    if record['state'] == FINISHED:
      key = record['task'], record['memory'], record['width']
      groups.setdefault(key, []).extend(rates_of(record))
  return [standing(group) for group in groups.values()]


def rates_of(record: Record) -> list[Rate]:
  """The replicas of a finished cell, by their rate."""
  each = record['learning_rates']
  return [
    Rate(record, rate, [i for i, r in enumerate(each) if r == rate])
    for rate in dict.fromkeys(each)
  ]


def standing(group: Sequence[Rate]) -> Standing:
  """That of one memory, at several rates."""
  best = max(group, key=Rate.quality)
  task = TASKS[best.record['task']]
  low, median, high = np.quantile(
    best.scores(task.judged_on), (0.25, 0.5, 0.75)
  )
  rows = rows_to_learn(best.record)
  learnt = tuple(float(rows[i] or math.inf) for i in best.places)
  return Standing(
    best.record,
    best.rate,
    tuple(sorted(one.rate for one in group)),
    float(low),
    float(median),
    float(high),
    float(np.median(best.scores('test'))),
    learnt,
    float(np.median(learnt)),
    task.highest and float(np.median(best.scores('validation'))) >= SOLVED,
  )


def worst(value: float | None, highest: bool) -> float:
  """The value, or what stands for that of a diverged seed."""
  if value is not None:
    return value
  return 0.0 if highest else 99.0


def third_rates(records: Iterable[Record]) -> list[Cell]:
  """A cell beyond the end that each memory chose, where it did not solve."""
  return [
    Cell(r['task'], r['memory'], r['width'], (BEYOND[s.rate],))
    for s in standings(records)
    if s.rates == RATES and not s.solved
    for r in (s.record,)
  ]
