"""The best evaluation, and patience with those after it."""

from memjax.training.watch import Watch
from tests.small import small


def watching(best_is: str = 'min', patience: int = 0) -> Watch:
  experiment = small(
    'copy_memory',
    'lstm',
    {
      'checkpoint.best': 'held_out/loss',
      'checkpoint.best_is': best_is,
      'train.patience': patience,
    },
  )
  return Watch(experiment, [])


def losses(watch: Watch, values: list[float]) -> list[bool]:
  return [watch.see({'held_out/loss': value}) for value in values]


def test_a_best_is_better_than_all_before_and_a_number() -> None:
  values = [float('nan'), 3.0, 2.0, 2.0, float('nan'), 2.5, 1.0]
  is_best = [False, True, True, False, False, False, True]
  assert losses(watching(), values) == is_best
  assert losses(watching('max'), [-v for v in values]) == is_best


def test_other_figures_are_not_watched() -> None:
  watch = watching(patience=1)
  assert watch.see({'held_out/loss': 1.0})
  assert not watch.see({})
  assert not watch.see({'held_out/accuracy': 9.0, 'train/loss': 0.0})
  assert not watch.exhausted


def test_patience_runs_out_after_so_many_without_a_best() -> None:
  watch = watching(patience=2)
  losses(watch, [2.0, 3.0])
  assert not watch.exhausted
  losses(watch, [1.0, 3.0])
  assert not watch.exhausted
  losses(watch, [1.0])
  assert watch.exhausted
  endless = watching()
  losses(endless, [1.0] * 50)
  assert not endless.exhausted


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
  assert Watch(experiment, rows).exhausted
  assert not Watch(experiment, rows[:2]).exhausted
