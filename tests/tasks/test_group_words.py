"""Group words: plain permutations multiply to the same products."""

import itertools
import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.state_tracking.group_words import GroupWords, cayley_table
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

TASK = GroupWords(group='S4', length=12)
ROWS = 300
GOLDEN = '39dfed332275de30'


def sign(permutation: tuple[int, ...]) -> int:
  """+1 or -1, from the determinant of the permutation's matrix."""
  return round(np.linalg.det(np.eye(len(permutation))[list(permutation)]))


@pytest.mark.parametrize(
  ('group', 'order', 'commutes'),
  [
    ('Z60', 60, True),
    ('S3', 6, False),
    ('S4', 24, False),
    ('A5', 60, False),
    ('S5', 120, False),
    ('A4xZ5', 60, False),
    ('Z2xZ3', 6, True),
  ],
)
def test_a_table_is_that_of_a_group(
  group: str, order: int, commutes: bool
) -> None:
  table = cayley_table(group)
  assert table.shape == (order, order)
  np.testing.assert_array_equal(table[0], np.arange(order))
  np.testing.assert_array_equal(table[table], table[:, table])
  assert (np.sort(table) == np.arange(order)).all()
  assert (np.sort(table.T) == np.arange(order)).all()
  assert (table == table.T).all() == commutes


@pytest.mark.parametrize(('group', 'things'), [('S4', 4), ('A5', 5)])
def test_the_oracle_moves_things_around(group: str, things: int) -> None:
  task = GroupWords(group=group, length=12)
  elements = [
    p
    for p in itertools.permutations(range(things))
    if group[0] == 'S' or sign(p) == 1
  ]
  assert len(elements) == task.vocab
  batch = draw(task, ROWS)
  for word, products in zip(*map(np.asarray, batch[:2]), strict=True):
    place = list(range(things))  # of each thing
    for element, product in zip(word, products, strict=True):
      place = [elements[element][i] for i in place]
      assert tuple(place) == elements[product]


def test_labels_stand_at_every_step_and_reach_back_to_the_first() -> None:
  batch = draw(TASK, ROWS)
  assert (batch.loss_weights_BT == 1).all()
  np.testing.assert_array_equal(batch.score_axis_BT[3], np.arange(12))
  assert_uniform(np.asarray(batch.inputs).ravel(), 0, 23)
  assert_uniform(np.asarray(batch.targets).ravel(), 0, 23)


def test_players_score_the_baselines() -> None:
  batch, rng = draw(TASK, ROWS), np.random.default_rng(0)
  players = {
    'chance': rng.integers(0, 24, (ROWS, 12)),
    'the last element': np.asarray(batch.inputs),
  }
  for name, answers in players.items():
    share = TASK.baselines['accuracy'][name]
    seen = score(TASK, np.eye(24)[answers], batch)['accuracy']
    assert abs(seen - share) < 4 * math.sqrt(share / (12 * ROWS)), name
  right = score(TASK, 20 * np.eye(24)[np.asarray(batch.targets)], batch)
  assert right['exact_match'] == right['accuracy'] == 1
  flat = score(TASK, np.zeros((ROWS, 12, 24)), batch)
  assert flat['loss'] == pytest.approx(TASK.baselines['loss']['chance'])


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize('group', ['S', 'Z1', 'D4', 'S7', 'Z1001', 'A4x', ''])
def test_a_name_that_is_no_group_is_refused(group: str) -> None:
  with pytest.raises(ConfigError, match=r'group: .*must be like Z60'):
    GroupWords(group=group)
