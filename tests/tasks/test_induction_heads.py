"""Induction heads: an oracle with one slot wins, without it scores chance."""

import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.recall.induction_heads import InductionHeads
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

LENGTH, VOCAB, ROWS = 12, 6, 4000
TASK = InductionHeads(length=LENGTH, vocab=VOCAB)
GOLDEN = '4ec233ed22f3b892'
SPECIAL = VOCAB - 1


def oracle(tokens: np.ndarray) -> list[int]:
  """Reads a row from left to right and keeps what follows the special one."""
  kept, before, predicted = 0, -1, []
  for token in tokens:
    if before == SPECIAL:
      kept = token
    before = token
    predicted.append(kept)
  return predicted


def test_a_row_is_as_specified() -> None:
  batch = draw(TASK, ROWS)
  inputs = np.asarray(batch.inputs)
  assert ((inputs == SPECIAL).sum(axis=1) == 2).all()
  assert (inputs[:, -1] == SPECIAL).all()
  place = (inputs == SPECIAL).argmax(axis=1)
  assert_uniform(place, 0, LENGTH - 4)
  assert_uniform(inputs[np.arange(ROWS), place + 1], 0, VOCAB - 2)
  assert_uniform(inputs[place > 0, 0], 0, VOCAB - 2)
  assert (np.asarray(batch.loss_weights_BT)[:, :-1] == 0).all()
  assert (np.asarray(batch.loss_weights_BT)[:, -1] == 1).all()
  assert (np.asarray(batch.targets)[:, :-1] == 0).all()


def test_the_distance_leads_back_to_the_answer() -> None:
  batch = draw(TASK, ROWS)
  shown = LENGTH - 1 - np.asarray(batch.score_axis_BT)[:, -1]
  inputs, rows = np.asarray(batch.inputs), np.arange(ROWS)
  np.testing.assert_array_equal(inputs[rows, shown], batch.targets[:, -1])
  assert (inputs[rows, shown - 1] == SPECIAL).all()


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, 20 * np.eye(VOCAB)[predicted], batch)
  assert scores['accuracy'] == 1
  assert scores['loss'] < 1e-6


def test_guessing_scores_the_baselines() -> None:
  guess = np.random.default_rng(0).integers(0, SPECIAL, (ROWS, LENGTH))
  accuracy = score(TASK, np.eye(VOCAB)[guess], draw(TASK, ROWS))['accuracy']
  share = TASK.baselines['accuracy']['any token']
  assert abs(accuracy - share) < 4 * math.sqrt(share * (1 - share) / ROWS)
  y = np.zeros((ROWS, LENGTH, VOCAB))
  y[..., SPECIAL] = -1e4
  expected = TASK.baselines['loss']['any token']
  loss = score(TASK, y, draw(TASK, ROWS))['loss']
  assert loss == pytest.approx(expected, rel=1e-5)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'length': 3}, 'length: 3: must be at least 4'),
    ({'vocab': 2}, 'vocab: 2: must be at least 3'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    InductionHeads(**fields)


def test_the_smallest_task_works() -> None:
  batch = draw(InductionHeads(length=4, vocab=3), 20)
  inputs, targets, distance = batch.inputs, batch.targets, batch.score_axis_BT
  np.testing.assert_array_equal(inputs[:, 0], [2] * 20)
  np.testing.assert_array_equal(inputs[:, 3], [2] * 20)
  np.testing.assert_array_equal(targets[:, 3], inputs[:, 1])
  np.testing.assert_array_equal(distance[:, 3], [2] * 20)
