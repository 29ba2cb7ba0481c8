"""The Chomsky hierarchy: what is drawn is drawn as the paper draws it."""

from collections.abc import Callable
import itertools

import numpy as np
import pytest

from memjax.tasks.chomsky.binary_addition import BinaryAddition
from memjax.tasks.chomsky.binary_multiplication import BinaryMultiplication
from memjax.tasks.chomsky.bucket_sort import BucketSort
from memjax.tasks.chomsky.cycle_navigation import CycleNavigation
from memjax.tasks.chomsky.duplicate import Duplicate
from memjax.tasks.chomsky.episode import SequenceTask
from memjax.tasks.chomsky.even_pairs import EvenPairs
from memjax.tasks.chomsky.missing_duplicate import MissingDuplicate
from memjax.tasks.chomsky.modular_arithmetic import ModularArithmetic
from memjax.tasks.chomsky.modular_arithmetic_brackets import (
  ModularArithmeticBrackets,
)
from memjax.tasks.chomsky.odds_first import OddsFirst
from memjax.tasks.chomsky.parity import Parity
from memjax.tasks.chomsky.reverse import Reverse
from memjax.tasks.chomsky.square_root import SquareRoot
from memjax.tasks.chomsky.stack_manipulation import StackManipulation
from tests.tasks.chomsky import ROWS, Symbols, drawn, number, operands, sequence
from tests.tasks.drawn import assert_uniform

Drawn = list[tuple[int, int]]  # which of how many


def within(lowest: int, value: int, highest: int) -> Drawn:
  return [(value - lowest, highest - lowest + 1)]


def sizes(s: Symbols) -> Drawn:
  """Of numbers of n bits, n and the numbers."""
  if len(s) < 3:
    return within(0, number(s), 2 ** len(s) - 2)
  sign = s.index(2)
  numbers = [
    (one - 1, 2**size - 1)
    for one, size in zip(operands(s), (sign, len(s) - 1 - sign), strict=True)
  ]
  return [*within(1, sign, len(s) - 2), *numbers]


def operand(s: Symbols) -> Drawn:
  """The size of a bracket's first operand, if it has two."""
  if len(s) < 5:
    return []
  opened = itertools.accumulate((a == 8) - (a == 9) for a in s[1:])
  size = 1 + next(i for i, depth in enumerate(opened) if depth == 0)
  return within(1, size + (s[1] == 6), len(s) - 4)


# {task: (what plain Python finds drawn, of how many)}, but for the symbols.
DRAWN: dict[type[SequenceTask], Callable[[Symbols], Drawn]] = {
  StackManipulation: lambda s: within(
    1, sum(a < 2 for a in s), max(len(s) - 1, 1)
  ),
  MissingDuplicate: lambda s: (
    within(0, s.index(2), len(s) // 2 * 2 - 1) if len(s) > 1 else []
  ),
  BinaryAddition: sizes,
  BinaryMultiplication: sizes,
  ModularArithmeticBrackets: operand,
  SquareRoot: lambda s: within(1, number(s[::-1]), 2 ** len(s) - 1),
}


@pytest.mark.parametrize('kind', DRAWN)
def test_what_is_drawn_is_uniform(kind: type[SequenceTask]) -> None:
  """By the rank among what could be drawn, spread over ten bins."""
  task, batch = drawn(kind)
  rows = [sequence(task, tokens) for tokens in np.asarray(batch.inputs)]
  found = [DRAWN[kind](symbols) for symbols in rows]
  rng = np.random.default_rng(0)
  for draws in itertools.zip_longest(*found):
    ranks = [(d[0] + rng.random()) / d[1] for d in draws if d]
    assert len(ranks) > ROWS / 2
    assert_uniform((10 * np.array(ranks)).astype(int), 0, 9)


# {task: groups of symbols, all as likely}.
FAIR: dict[type[SequenceTask], tuple[range, ...]] = {
  Parity: (range(2),),
  EvenPairs: (range(2),),
  ModularArithmetic: (range(5), range(5, 8)),
  Reverse: (range(2),),
  Duplicate: (range(2),),
  CycleNavigation: (range(3),),
  OddsFirst: (range(2),),
  StackManipulation: (range(2), range(2, 5)),
  BucketSort: (range(5),),
  ModularArithmeticBrackets: (range(5),),
}


@pytest.mark.parametrize('kind', FAIR)
def test_symbols_are_uniform(kind: type[SequenceTask]) -> None:
  inputs = np.asarray(drawn(kind)[1].inputs)
  for group in FAIR[kind]:
    some = inputs[np.isin(inputs, group)]
    assert_uniform(some, group[0], group[-1])
