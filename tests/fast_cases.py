"""Which cases of a test with many are fast tests."""


def slow_cases(fast: int, cases: int) -> list[int]:
  """Places of the slow cases; `fast` others, evenly chosen, are fast."""
  turns = [place * fast // cases for place in range(-1, cases)]
  return [place for place in range(cases) if turns[place] == turns[place + 1]]
