"""The best evaluation, and patience with those after it."""

from collections.abc import Sequence
import itertools
import math

from memjax.runs.best import Figure, first_best
from memjax.training.early_stopping import EarlyStopping, median
from tests.small import small


def watching(best_is: str = 'min', patience: int = 0) -> EarlyStopping:
  experiment = small(
    'copy_memory',
    'lstm',
    {
      'checkpoint.best': 'held_out/loss',
      'checkpoint.best_is': best_is,
      'train.patience': patience,
    },
  )
  return EarlyStopping(experiment, [])


STEPS = itertools.count(1)


def losses(stopping: EarlyStopping, values: Sequence[Figure]) -> list[bool]:
  return [
    stopping.update(next(STEPS), {'held_out/loss': value}) for value in values
  ]


def test_a_best_is_better_than_all_before_and_a_number() -> None:
  values = [float('nan'), 3.0, 2.0, 2.0, float('nan'), 2.5, 1.0]
  is_best = [False, True, True, False, False, False, True]
  assert losses(watching(), values) == is_best
  assert losses(watching('max'), [-v for v in values]) == is_best


def test_other_figures_are_not_watched() -> None:
  stopping = watching(patience=1)
  assert stopping.update(next(STEPS), {'held_out/loss': 1.0})
  assert not stopping.update(next(STEPS), {})
  assert not stopping.update(
    next(STEPS), {'held_out/accuracy': 9.0, 'train/loss': 0.0}
  )
  assert not stopping.end


def test_patience_runs_out_after_so_many_without_a_best() -> None:
  stopping = watching(patience=2)
  losses(stopping, [2.0, 3.0])
  assert not stopping.end
  losses(stopping, [1.0, 3.0])
  assert not stopping.end
  losses(stopping, [1.0])
  assert stopping.end
  endless = watching()
  losses(endless, [1.0] * 50)
  assert not endless.end


def test_rows_read_back_are_as_good_as_seen() -> None:
  experiment = small(
    'copy_memory',
    'lstm',
    {'checkpoint.best': 'held_out/loss', 'train.patience': 1},
  )
  rows = [
    {'step': 1, 'split': 'held_out', 'metrics': {'loss': 1.0}},
    {'step': 2, 'split': 'train', 'metrics': {'loss': 0.5}},
    {'step': 2, 'split': 'held_out', 'metrics': {'loss': 2.0}},
  ]
  assert EarlyStopping(experiment, rows).end
  assert not EarlyStopping(experiment, rows[:2]).end


NAN = math.nan


def test_of_replicas_the_median_counts() -> None:
  values = [[3.0, 5.0, 7.0], [1.0, 6.0, 4.9], [9.0, 4.9, 4.8], [0.1, 5.0, 6.0]]
  values += [[4.0, 4.0, 4.0]]
  is_best = [True, True, False, False, True]
  assert losses(watching(), values) == is_best
  opposite = [[-v for v in replicas] for replicas in values]
  assert losses(watching('max'), opposite) == is_best


def test_a_poor_replica_that_diverges_makes_no_best() -> None:
  stopping = watching(patience=2)
  values: list[Figure] = [[1.0, 9.0], [1.1, NAN], [1.2, NAN]]
  assert losses(stopping, values) == [True, False, False]
  assert stopping.end
  assert first_best(values, 'min') == 0


def test_a_good_replica_that_diverges_does_not_stop_the_others() -> None:
  stopping = watching(patience=2)
  values = [[0.1, 5.0, 8.0], [0.1, 4.0, 7.0]]
  values += [[NAN, 3.9, 6.9], [NAN, 3.8, 6.8], [NAN, 3.7, 6.7]]
  assert losses(stopping, values) == [True] * 5
  assert losses(stopping, [[NAN] * 3]) == [False]
  assert not stopping.end
  assert losses(stopping, [[NAN] * 3]) == [False]
  assert stopping.end


def test_the_best_needs_half_of_the_replicas() -> None:
  values: list[Figure] = [[5.0] * 4, [NAN, NAN, 4.0, 4.0], [NAN, NAN, NAN, 1.0]]
  assert losses(watching(), values) == [True, True, False]
  assert first_best(values, 'min') == 1
  assert median([NAN, 4.0]) == 4.0
  assert math.isnan(median([NAN, NAN, 4.0]))


def test_none_is_best_where_none_is_a_number() -> None:
  assert first_best([], 'min') is None
  assert first_best([NAN, math.inf], 'max') is None
  assert first_best([[NAN, NAN]], 'min') is None
  assert first_best([[NAN, 2.0], [3.0, 2.5]], 'min') == 1
  assert first_best([3.0, [2.0, 4.0], [NAN, 2.0]], 'min') == 2
