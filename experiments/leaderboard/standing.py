"""From records to a table: the rate of each memory, and its figures there.

The rate is chosen on validation rows. What the table shows is measured on other
rows, on which nothing was chosen.
"""

from collections.abc import Iterable, Sequence
import math
from typing import NamedTuple

import numpy as np

from experiments.leaderboard.grid import BEYOND, SOLVED, Cell
from experiments.leaderboard.records import (
  FINISHED,
  REFUSED,
  Record,
  rows_to_learn,
)
from experiments.leaderboard.tasks import TASKS


class Standing(NamedTuple):
  """A memory of one width on one task, at its chosen rate.

  Attributes:
    record: of the cell at this rate.
    rates: all rates with a result.
    low: first quartile over seeds, on the rows of `Task.judged_on`.
    median: their median.
    high: their third quartile.
    test: the median on rows like those of training.
    each_learnt: training rows until each seed had learnt; infinite: never.
    learnt: their median.
  """

  record: Record
  rates: tuple[float, ...]
  low: float
  median: float
  high: float
  test: float
  each_learnt: tuple[float, ...]
  learnt: float


def standings(records: Iterable[Record]) -> list[Standing]:
  """One for each memory, width and task with a result at a rate."""
  groups: dict[tuple[str, str, int], list[Record]] = {}
  for record in records:
    if record['state'] != REFUSED:
      key = record['task'], record['memory'], record['width']
      groups.setdefault(key, []).append(record)
  return [
    standing(group)
    for group in groups.values()
    if any(r['state'] == FINISHED for r in group)
  ]


def standing(group: Sequence[Record]) -> Standing:
  """That of the records of one memory, at several rates."""
  best = chosen(group)
  task = TASKS[best['task']]
  low, median, high = np.quantile(
    seeds(best, task.judged_on), (0.25, 0.5, 0.75)
  )
  learnt = tuple(math.inf if n is None else n for n in rows_to_learn(best))
  return Standing(
    best,
    tuple(sorted(r['learning_rate'] for r in group)),
    float(low),
    float(median),
    float(high),
    float(np.median(seeds(best, 'test'))),
    learnt,
    float(np.median(learnt)),
  )


def chosen(group: Sequence[Record]) -> Record:
  """The record whose seeds have the best median on validation rows.

  Of equal medians, the one with the lower median loss is taken.
  """
  finished = [r for r in group if r['state'] == FINISHED]
  sign = 1 if TASKS[group[0]['task']].highest else -1

  def quality(record: Record) -> tuple[float, float]:
    score = float(np.median(seeds(record, 'validation')))
    loss = record['scores']['validation']['loss']
    return sign * score, -float(np.median([worst(x, False) for x in loss]))

  return max(finished, key=quality)


def seeds(record: Record, split: str) -> list[float]:
  """The scores of the seeds; one that has diverged has the worst."""
  task = TASKS[record['task']]
  values = record['scores'][split][task.metric]
  return [worst(value, task.highest) for value in values]


def worst(value: float | None, highest: bool) -> float:
  """The value, or what stands for that of a diverged seed."""
  if value is not None:
    return value
  return 0.0 if highest else 99.0


def third_rates(records: Iterable[Record]) -> list[Cell]:
  """A cell beyond the end that each memory chose, where it did not solve.

  Only memories with results at both rates have one.
  """
  found = []
  for at in standings(records):
    task, rate = TASKS[at.record['task']], at.record['learning_rate']
    validation = float(np.median(seeds(at.record, 'validation')))
    solved = task.highest and validation >= SOLVED
    if len(at.rates) == len(BEYOND) and not solved:
      r = at.record
      found.append(Cell(r['task'], r['memory'], r['width'], BEYOND[rate]))
  return found
