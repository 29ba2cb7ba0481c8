"""Dyck-(k, m): strings nest, as often as strings thrown away would say."""

import functools
import math
import random

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.state_tracking.dyck import Dyck
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

K, M, T, ROWS = 3, 2, 14, 3000
TASK = Dyck(types=K, depth=M, shortest=3, longest=T)
START, END = 2 * K, 2 * K + 1
GOLDEN = 'b824511edf026495'


def strings(batch: Batch) -> list[list[int]]:
  """The symbols of each row, with the end."""
  found = []
  for tokens in np.asarray(batch.inputs).tolist():
    assert tokens[0] == START
    row = [*tokens[1:], END]
    found.append(row[: row.index(END) + 1])
    assert set(row[row.index(END) :]) == {END}
  return found


@functools.cache
def in_time(before: int, opened: int) -> float:
  """The chance that a string, so begun, has at most T symbols."""
  if before == T:
    return 0.0
  up = 0.5 if opened < M else 0.0
  if opened == 0 and before < 3:
    up = 1.0
  longer = up and up * in_time(before + 1, opened + 1)
  if opened == 0:
    return longer + (1 - up)
  return longer + (1 - up) * in_time(before + 1, opened - 1)


def oracle(tokens: list[int]) -> np.ndarray:
  """Log probabilities of an oracle with a stack that knows the source."""
  stack: list[int] = []
  predicted = []
  for before, token in enumerate(tokens):
    if token < K:
      stack.append(token)
    elif token < 2 * K:
      assert stack.pop() == token - K
    chances = np.full(2 * K + 2, 1e-30)
    whole = in_time(before, len(stack))
    up = 1.0 if not stack and before < 3 else 0.5
    up = up * in_time(before + 1, len(stack) + 1) if len(stack) < M else 0.0
    chances[:K] += up / whole / K
    chances[K + stack[-1] if stack else END] += 1 - up / whole
    predicted.append(np.log(chances))
    if token == END:
      predicted[-1][:] = 0
  return np.array(predicted)


@pytest.mark.slow
def test_strings_nest_and_every_symbol_is_a_label() -> None:
  batch = draw(TASK, ROWS)
  for b, symbols in enumerate(strings(batch)):
    stack: list[tuple[int, int]] = []
    distances = []
    for step, symbol in enumerate(symbols):
      distances.append(0)
      if symbol < K:
        stack.append((symbol, step))
        assert len(stack) <= M
      elif symbol < 2 * K:
        opened, begun = stack.pop()
        assert opened == symbol - K
        distances[-1] = step - begun
    assert not stack
    assert 4 < len(symbols) <= T
    rest = [0] * (T - len(symbols))
    assert batch.targets[b].tolist() == symbols + rest
    assert batch.loss_weights_BT[b].tolist() == [1] * len(symbols) + rest
    assert batch.score_axis_BT[b].tolist() == distances + rest


def thrown(rng: random.Random) -> tuple[int, ...]:
  """The depths of a string, drawn again and again until it is short enough."""
  while True:
    depths: list[int] = []
    opened = 0
    while True:
      free = opened == M or (opened == 0 and len(depths) < 3)
      up = opened == 0 if free else rng.random() < 0.5
      if not up and not opened:
        break
      opened += 1 if up else -1
      depths.append(opened)
    if len(depths) < T:
      return tuple(depths)


def test_strings_are_as_likely_as_if_long_ones_were_thrown_away() -> None:
  rng = random.Random(0)
  expected: dict[tuple[int, ...], int] = {}
  for _ in range(30_000):
    drawn = thrown(rng)
    expected[drawn] = expected.get(drawn, 0) + 1
  seen = dict.fromkeys(expected, 0)
  for symbols in strings(draw(TASK, ROWS)):
    steps = [1 if symbol < K else -1 for symbol in symbols[:-1]]
    depths = tuple(np.cumsum(steps).tolist())
    assert depths in expected
    seen[depths] += 1
  often = [depths for depths, count in expected.items() if count > 300]
  assert len(often) > 10
  for depths in often:
    share = expected[depths] / 30_000
    deviation = math.sqrt(share * (1 - share) * (1 / ROWS + 1 / 30_000))
    assert abs(seen[depths] / ROWS - share) < 4.5 * deviation, depths


def test_types_are_uniform() -> None:
  tokens = np.asarray(draw(TASK, ROWS).inputs)
  assert_uniform(tokens[tokens < K], 0, K - 1)


def test_the_oracle_needs_the_entropy_of_the_source() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.stack(
    [oracle(row) for row in np.asarray(batch.inputs).tolist()]
  )
  scores = score(TASK, predicted, batch)
  assert scores['closing'] == scores['closing_sure'] == 1
  optimal = TASK.baselines['loss']['optimal']
  labelled = np.asarray(batch.loss_weights_BT) > 0
  nats = -np.take_along_axis(
    predicted, np.asarray(batch.targets)[..., None], -1
  )[..., 0]
  assert (nats[labelled] < 10).all()
  excess = np.where(labelled, nats - optimal, 0).sum(axis=1)
  assert abs(excess.mean()) < 4 * excess.std() / math.sqrt(ROWS)
  assert scores['loss'] == pytest.approx(nats[labelled].mean(), rel=1e-4)


def test_guessing_the_type_scores_the_baseline() -> None:
  batch, rng = draw(TASK, ROWS), np.random.default_rng(0)
  guess = np.eye(2 * K + 2)[rng.integers(K, 2 * K, (ROWS, T))]
  scores = score(TASK, 9 * guess, batch)
  targets = np.asarray(batch.targets)[np.asarray(batch.loss_weights_BT) > 0]
  count = ((targets >= K) & (targets < 2 * K)).sum()
  chance = TASK.baselines['closing']['chance']
  deviation = math.sqrt(chance * (1 - chance) / count)
  assert abs(scores['closing'] - chance) < 4 * deviation
  assert scores['closing_sure'] == scores['closing']


@pytest.mark.parametrize(('share', 'certain'), [(0.79, 0.0), (0.81, 1.0)])
def test_an_uncertain_model_may_be_right(share: float, certain: float) -> None:
  batch = draw(TASK, ROWS)
  right = np.eye(2 * K + 2)[np.asarray(batch.targets)]
  rest = (1 - share) / (K - 1)
  logits = np.log(np.where(right > 0, share, rest))
  logits[..., [0, END]] += 5  # what else is likely does not matter
  scores = score(TASK, logits, batch)
  assert (scores['closing'], scores['closing_sure']) == (1, certain)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


def test_long_strings_can_be_drawn() -> None:
  task = Dyck(types=2, depth=5, shortest=181, longest=360)
  assert 0.9 < task.baselines['loss']['optimal'] < 1.1
  task = Dyck(types=1, depth=3, shortest=21, longest=40)
  sizes = np.asarray(draw(task, 500).loss_weights_BT.sum(axis=1)).tolist()
  assert set(sizes) <= set(range(23, 41, 2))
  assert len(set(sizes)) == 9


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'types': 0}, 'types: 0: must be at least 1'),
    ({'depth': 0}, 'depth: 0: must be at least 1'),
    ({'shortest': 0}, 'shortest: 0: must be at least 1'),
    ({'longest': 2}, 'longest: 2: must be at least 3: 2 brackets and the end'),
    ({'shortest': 3, 'longest': 4}, 'longest: 4: must be at least 5'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    Dyck(**fields)


def test_the_smallest_task_works() -> None:
  batch = draw(Dyck(types=1, depth=1, longest=3), 4)
  assert batch.inputs.tolist() == [[2, 0, 1]] * 4
  assert batch.targets.tolist() == [[0, 1, 3]] * 4
