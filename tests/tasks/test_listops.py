"""ListOps: lists are worked out by hand, and drawn as often as they should."""

from collections import Counter
from collections.abc import Callable
import math
import random
import statistics

import numpy as np
import pytest

from memjax.data.list_sizes import size_distributions
from memjax.errors import ConfigError
from memjax.tasks.long_range.listops import ListOps
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

ROWS = 3000
TASK = ListOps(length=18, shortest=9, depth=4, arguments=4)
GOLDEN = '1906dacd60a3c707'
APPLY: dict[int, Callable[[list[int]], int]] = {
  11: min,
  12: max,
  13: lambda values: math.floor(statistics.median(values)),
  14: lambda values: sum(values) % 10,
}


def tree(tokens: list[int]) -> tuple:
  """The one list that the tokens are, nested."""
  stack: list[list] = [[]]
  for i, token in enumerate(tokens):
    if token >= 11 and token < 15:
      assert i == 0 or len(stack) > 1
      stack.append([token])
    elif token == 15:
      done = tuple(stack.pop())
      stack[-1].append(done)
    else:
      assert 1 <= token <= 10
      stack[-1].append(token - 1)
  [[whole]] = stack
  return whole


def worth(node: tuple | int) -> int:
  if isinstance(node, int):
    return node
  operator, *arguments = node
  return APPLY[operator](list(map(worth, arguments)))


def depth(node: tuple | int) -> int:
  return 0 if isinstance(node, int) else 1 + max(map(depth, node[1:]))


def shape(node: tuple | int) -> tuple | int:
  """A list without its operators and digits."""
  return 0 if isinstance(node, int) else tuple(map(shape, node[1:]))


def size(node: tuple | int) -> int:
  return 1 if isinstance(node, int) else 2 + sum(map(size, node))


def lists(task: ListOps, rows: int) -> list[list[int]]:
  inputs = np.asarray(draw(task, rows).inputs)
  sizes = (inputs != 0).sum(axis=1)
  for row, length in zip(inputs, sizes, strict=True):
    assert not row[length:].any()
  return [row[:n].tolist() for row, n in zip(inputs, sizes, strict=True)]


@pytest.mark.slow
def test_the_label_is_what_the_list_is_worth() -> None:
  batch = draw(TASK, ROWS)
  for b, tokens in enumerate(lists(TASK, ROWS)):
    last = len(tokens) - 1
    node = tree(tokens)
    assert depth(node) <= 3
    wanted = np.zeros((3, 18))
    wanted[:, last] = worth(node), 1, last + 1
    np.testing.assert_array_equal(batch.targets[b], wanted[0])
    np.testing.assert_array_equal(batch.loss_weights_BT[b], wanted[1])
    np.testing.assert_array_equal(batch.score_axis_BT[b], wanted[2])


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.zeros((ROWS, 18), int)
  for b, tokens in enumerate(lists(TASK, ROWS)):
    predicted[b, len(tokens) - 1] = worth(tree(tokens))
  scores = score(TASK, 40 * np.eye(10)[predicted], batch)
  assert scores['accuracy'] == 1
  assert scores['loss'] < 1e-6


def test_guessing_scores_the_baselines() -> None:
  batch, rng = draw(TASK, ROWS), np.random.default_rng(0)
  guess = np.eye(10)[rng.integers(0, 10, (ROWS, 18))]
  chance = TASK.baselines['accuracy']['chance']
  deviation = math.sqrt(chance * (1 - chance) / ROWS)
  assert abs(score(TASK, guess, batch)['accuracy'] - chance) < 4 * deviation
  loss = score(TASK, 0 * guess, batch)['loss']
  assert loss == pytest.approx(TASK.baselines['loss']['chance'], rel=1e-5)


def free(rng: random.Random, level: int) -> tuple | int:
  """An argument as Long Range Arena draws it, in as many lists."""
  if level and (level >= 3 or rng.random() > 0.25):
    return 0
  return tuple(free(rng, level + 1) for _ in range(rng.randint(2, 4)))


def test_lists_of_a_size_are_as_likely_as_if_drawn_freely() -> None:
  rng = random.Random(0)
  drawn = Counter(free(rng, 0) for _ in range(60_000))
  seen = Counter(shape(tree(tokens)) for tokens in lists(TASK, ROWS))
  checked = 0
  for length in range(9, 19):
    here = {node: n for node, n in drawn.items() if size(node) == length}
    total = sum(here.values())
    rows = sum(n for node, n in seen.items() if size(node) == length)
    for node, count in here.items():
      share = count / total
      if share * rows < 5:
        continue
      deviation = math.sqrt(share * (1 - share) * (1 / rows + 1 / total))
      assert abs(seen[node] / rows - share) < 4.5 * deviation, node
      checked += 1
  assert checked > 40


def test_sizes_operators_and_digits_are_uniform() -> None:
  rows = lists(TASK, ROWS)
  assert_uniform(np.array([len(row) for row in rows]), 9, 18)
  tokens = np.concatenate(rows)
  assert_uniform(tokens[(tokens > 10) & (tokens < 15)], 11, 14)
  assert_uniform(tokens[tokens <= 10], 1, 10)


@pytest.mark.slow
def test_long_lists_are_whole() -> None:
  """The default task, and lists nearly as long as they can be."""
  for task in (ListOps(), ListOps(length=102, shortest=102, depth=3)):
    batch = draw(task, 20)
    for b, tokens in enumerate(lists(task, 20)):
      assert task.shortest <= len(tokens) <= task.length
      assert batch.targets[b, len(tokens) - 1] == worth(tree(tokens))
      assert depth(tree(tokens)) < task.depth


def test_the_distributions_of_sizes() -> None:
  law = size_distributions(40, 3, 3)
  alone = np.exp(law.log_list)
  assert alone[2, 4] == pytest.approx(0.25 / 2)
  assert alone[2, 5] == pytest.approx(0.25 / 2)
  assert alone[2].sum() == pytest.approx(0.25)
  assert alone[1].sum() == pytest.approx(0.25)
  assert np.flatnonzero(alone[1])[[0, -1]].tolist() == [4, 17]
  assert not alone[3].any()


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'shortest': 3}, 'shortest: 3: must be at least 4'),
    ({'length': 100}, 'length: 100: must be at least shortest, 128'),
    ({'depth': 1}, 'depth: 1: must be at least 2'),
    ({'arguments': 2}, 'arguments: 2: must be at least 3'),
    ({'depth': 3}, 'length: 512: no list of depth 3 has 128 tokens'),
    ({'depth': 2, 'shortest': 4}, 'length: 512: .* depth 2 has 13 tokens'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    ListOps(**fields).prepare()


def test_the_smallest_task_works() -> None:
  task = ListOps(length=4, shortest=4, depth=2, arguments=3)
  batch = draw(task, 40)
  for tokens, targets in zip(
    np.asarray(batch.inputs).tolist(), batch.targets, strict=True
  ):
    assert targets[3] == worth(tree(tokens))
