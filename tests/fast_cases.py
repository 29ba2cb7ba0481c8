"""Which cases of a test with many are fast tests."""

GOLDEN = (5**0.5 - 1) / 2


def slow_cases(fast: int, cases: int) -> list[int]:
  """Places of the slow cases; the first case and `fast` - 1 others are fast.

  Multiples of the golden ratio choose the others. A step of equal length would
  meet the same value of every parameter whose values divide it.
  """
  order = sorted(range(cases), key=lambda place: place * GOLDEN % 1)
  return sorted(order[fast:])
