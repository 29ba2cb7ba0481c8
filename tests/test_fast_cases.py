"""The mark `fast_cases(n)` leaves n cases that are evenly chosen."""

import pytest

from tests.fast_cases import slow_cases


@pytest.mark.parametrize(
  ('fast', 'cases', 'slow'),
  [
    (1, 4, [1, 2, 3]),
    (2, 4, [1, 3]),
    (2, 5, [1, 2, 4]),
    (3, 7, [1, 2, 4, 6]),
    (4, 4, []),
    (9, 4, []),
  ],
)
def test_as_many_are_fast_as_the_mark_says(
  fast: int, cases: int, slow: list[int]
) -> None:
  assert slow_cases(fast, cases) == slow
