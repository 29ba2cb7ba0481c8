"""Rows of the Chomsky hierarchy to look at, and how plain Python answers."""

from collections.abc import Callable
import functools
import itertools
import math

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
from memjax.tasks.chomsky.solve_equation import SolveEquation
from memjax.tasks.chomsky.square_root import SquareRoot
from memjax.tasks.chomsky.stack_manipulation import StackManipulation
from memjax.types import Batch
from tests.tasks.drawn import draw

Symbols = list[int]


def number(bits: Symbols) -> int:
  """Of bits from the lowest."""
  return sum(bit << place for place, bit in enumerate(bits))


def bits(value: int) -> Symbols:
  """As few as say it, from the lowest."""
  return [int(bit) for bit in reversed(f'{value:b}')]


def reckon(symbols: Symbols, names: str) -> int:
  """What Python makes of an expression, modulo 5."""
  text = ''.join(names[symbol] for symbol in symbols)
  return int(eval(text)) % 5


def operands(symbols: Symbols) -> tuple[int, int]:
  sign = symbols.index(2)
  assert 0 < sign < len(symbols) - 1
  one, other = number(symbols[:sign]), number(symbols[sign + 1 :])
  assert one > 0
  assert other > 0
  return one, other


def even_pairs(s: Symbols) -> Symbols:
  return [sum(a != b for a, b in itertools.pairwise(s)) % 2]


def modular_arithmetic(s: Symbols) -> Symbols:
  assert len(s) % 2 == 1
  assert all(symbol < 5 for symbol in s[::2])
  assert all(symbol >= 5 for symbol in s[1::2])
  return [reckon(s, '01234+-*')]


def walk(s: Symbols) -> Symbols:
  place = 0
  for step in s:
    place += {0: -1, 1: 0, 2: 1}[step]
  return [place % 5]


def stack(s: Symbols) -> Symbols:
  left: Symbols = []
  acted = False
  for symbol in s:
    acted = acted or symbol > 1
    assert not (acted and symbol < 2)
    if symbol != 2:
      left.append(symbol if symbol < 2 else symbol - 3)
    elif left:
      left.pop()
  return [*left[::-1], 2]


def missing(s: Symbols) -> Symbols:
  if len(s) == 1:
    assert s == [1]
    return [1]
  if len(s) % 2:
    assert s[-1] == 3
    s = s[:-1]
  one, other = s[: len(s) // 2], s[len(s) // 2 :]
  assert s.count(2) == 1
  answers = [
    b if a == 2 else a
    for a, b in zip(one, other, strict=True)
    if 2 in (a, b) or a != b
  ]
  assert len(answers) == 1
  return answers


def brackets(s: Symbols) -> Symbols:
  return [reckon(s, '01234+-*()')]


def equation(s: Symbols) -> Symbols:
  if len(s) < 3:
    assert not any(s)
    return [0]
  assert (s[-2], s.count(9)) == (10, 1)
  solutions = [
    x
    for x in range(5)
    if reckon([x if a == 9 else a for a in s[:-2]], '01234+-()') == s[-1]
  ]
  assert len(solutions) == 1
  return solutions


def addition(s: Symbols) -> Symbols:
  if len(s) < 3:
    return [*bits(number(s)), 2]
  one, other = operands(s)
  return [*bits(one + other), 2]


def multiplication(s: Symbols) -> Symbols:
  if len(s) < 3:
    return [0] * (len(s) - 1) + [2]
  one, other = operands(s)
  return [*bits(one * other), 2]


def square_root(s: Symbols) -> Symbols:
  assert any(s)
  predicted = bits(math.isqrt(number(s[::-1])))
  return ([*predicted, *[0] * len(s)][: (len(s) + 1) // 2])[::-1]


Oracle = Callable[[Symbols], Symbols]
# {task: (how plain Python answers, the hash of its rows)}
TASKS: dict[type[SequenceTask], tuple[Oracle, str]] = {
  Parity: (lambda s: [s.count(1) % 2], '6268c3047423d85b'),
  EvenPairs: (even_pairs, 'd58a32e13ad8d3fa'),
  ModularArithmetic: (modular_arithmetic, '7bd2217d76a2ecb1'),
  Reverse: (lambda s: s[::-1], 'cf9b2a2804171f52'),
  Duplicate: (lambda s: s + s, 'd600a51db5af9837'),
  CycleNavigation: (walk, '405e74e0c835c582'),
  OddsFirst: (lambda s: s[1::2] + s[::2], 'dc1d51e4f275f365'),
  StackManipulation: (stack, 'bf565d9cae8754d9'),
  MissingDuplicate: (missing, '3f2e30446629a4d5'),
  BucketSort: (sorted, '597a6c855b12afb2'),
  BinaryAddition: (addition, '64172cf5595f8ef9'),
  ModularArithmeticBrackets: (brackets, '8c9bd3c2c9c17b0f'),
  SolveEquation: (equation, '071e7da88acb597b'),
  BinaryMultiplication: (multiplication, 'c6d47473efdef0b4'),
  SquareRoot: (square_root, '9e01b41eadb88cd2'),
}
every_task = pytest.mark.parametrize(
  'kind', TASKS, ids=[kind.__name__ for kind in TASKS]
)
# An even length becomes the odd one below it.
ODD = (ModularArithmetic,)
LONGEST, ROWS = 60, 600


@functools.cache
def drawn_by_name(name: str) -> tuple[SequenceTask, Batch]:
  [kind] = [kind for kind in TASKS if kind.__name__ == name]
  task = kind(longest=LONGEST)
  return task, draw(task, ROWS)


def drawn(kind: type[SequenceTask]) -> tuple[SequenceTask, Batch]:
  """Rows of 1 to 60 symbols, drawn once for each task."""
  return drawn_by_name(kind.__name__)


def sequence(task: SequenceTask, tokens: np.ndarray) -> Symbols:
  """What stands before the marker."""
  marker = task.input_spec.vocab - 2
  return [int(token) for token in tokens[: list(tokens).index(marker)]]


def oracle(task: SequenceTask, inputs: np.ndarray) -> np.ndarray:
  """The oracle's answers from the marker on; -1 where it has none."""
  solve, _ = TASKS[type(task)]
  predicted = np.full(inputs.shape, -1)
  for row, tokens in zip(predicted, inputs, strict=True):
    symbols = sequence(task, tokens)
    answer = solve(symbols)
    row[len(symbols) : len(symbols) + len(answer)] = answer
  return predicted
