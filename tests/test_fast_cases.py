"""The mark `fast_cases(n)` leaves n cases, the first and some of every kind."""

import itertools

import pytest

from tests.fast_cases import slow_cases


@pytest.mark.parametrize(
  ('fast', 'cases'), [(1, 4), (2, 4), (2, 5), (3, 7), (4, 4), (9, 4)]
)
def test_as_many_are_fast_as_the_mark_says(fast: int, cases: int) -> None:
  slow = slow_cases(fast, cases)
  assert 0 not in slow
  assert slow == sorted({*slow})
  assert len(slow) == max(cases - fast, 0)


def test_every_value_of_every_parameter_is_fast_about_as_often() -> None:
  """A step of equal length met one value of the last two parameters only."""
  sizes = 4, 5, 2, 2, 3
  cases = list(itertools.product(*map(range, sizes)))
  slow = slow_cases(40, len(cases))
  fast = [case for place, case in enumerate(cases) if place not in slow]
  for parameter, values in enumerate(sizes):
    counts = [
      sum(case[parameter] == value for case in fast) for value in range(values)
    ]
    assert min(counts) >= 0.8 * 40 / values, counts
