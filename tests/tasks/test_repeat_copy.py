"""Repeat copy: an oracle with a list and a counter scores everything."""

import dataclasses

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.ntm.repeat_copy import RepeatCopy
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_fair,
  assert_uniform,
  certain,
  draw,
  score,
)

ROWS = 1000
TASK = RepeatCopy(bits=3, longest=3, most=4, usual=6)
MEAN, SPREAD = 3.5, np.sqrt(35 / 12)  # of 1, 2, ..., 6
GOLDEN = '73b96a7e8c51901b'


def oracle(row: np.ndarray) -> np.ndarray:
  """Reads a row from left to right; repeats it after reading R."""
  kept: list[np.ndarray] = []
  ahead: list[np.ndarray] = []
  predicted = []
  width, repeating = row.shape[1], False
  for *vector, normalised in row:
    predicted.append(ahead.pop(0) if ahead else np.zeros(width))
    if normalised != 0:
      repeats = round(MEAN + SPREAD * normalised)
      ahead = kept * repeats + [np.eye(width)[-1]]
      repeating = True
    elif not repeating:
      kept.append(np.array([*vector, 0]))
  return np.stack(predicted)


def test_a_row_of_known_length_by_hand() -> None:
  task = RepeatCopy(shortest=2, longest=2, fewest=3, most=3)
  inputs, targets, loss_weights_BT, *_ = draw(task, 5)
  vectors = np.asarray(inputs[:, :2, :8])
  for start in (3, 5, 7):
    np.testing.assert_array_equal(targets[:, start : start + 2, :8], vectors)
  for silent in (inputs[:, 2:, :8], targets[:, :3], targets[:, 9, :8]):
    np.testing.assert_array_equal(silent, np.zeros(silent.shape))
  normalised = (3 - 5.5) / np.sqrt(8.25)
  np.testing.assert_allclose(
    inputs[..., 8], [[0, 0, normalised, *[0] * 7]] * 5, rtol=1e-6
  )
  np.testing.assert_array_equal(targets[..., 8], [[0] * 9 + [1]] * 5)
  np.testing.assert_array_equal(loss_weights_BT, [[0] * 3 + [1] * 7] * 5)


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, certain(predicted), batch)
  assert (scores['exact_match'], scores['bits_wrong']) == (1, 0)
  assert scores['loss'] < 1e-6


def test_a_late_end_marker_is_a_wrong_bit() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array(batch.targets)
  predicted[..., -1] = np.roll(predicted[..., -1], 1, axis=1)
  scores = score(TASK, certain(predicted), batch)
  assert scores['exact_match'] == 0
  assert scores['bits_wrong'] == 1  # what comes after the end is not asked


def test_lengths_and_repeats_are_uniform_and_bits_fair() -> None:
  batch = draw(TASK, ROWS)
  normalised = np.asarray(batch.inputs[..., -1])
  count = (normalised != 0).argmax(1)
  repeats = np.rint(MEAN + SPREAD * normalised.sum(1)).astype(int)
  np.testing.assert_array_equal((normalised != 0).sum(1), 1)
  np.testing.assert_array_equal(
    batch.loss_weights_BT.sum(1), count * repeats + 1
  )
  assert_uniform((count - 1) * 4 + repeats - 1, 0, 11)
  for n in range(1, 4):
    assert_fair(np.asarray(batch.inputs)[count == n, :n, :-1])


def test_the_number_of_repeats_has_mean_0_and_variance_1() -> None:
  normalised = np.asarray(draw(RepeatCopy(longest=1), 4000).inputs)[:, 1, -1]
  assert len(set(normalised)) == 10
  values = np.array(sorted(set(normalised)))
  assert values.mean() == pytest.approx(0, abs=1e-6)
  assert values.var() == pytest.approx(1, rel=1e-6)


def test_more_repeats_are_normalised_on_the_same_scale() -> None:
  one = dataclasses.replace(TASK, fewest=4, most=4)
  more = dataclasses.replace(TASK, fewest=20, most=20)
  for task, repeats in ((one, 4), (more, 20)):
    normalised = np.asarray(draw(task, 3).inputs[..., -1]).sum(1)
    np.testing.assert_allclose(normalised, (repeats - MEAN) / SPREAD, rtol=1e-6)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bits': 0}, 'bits: 0: must be at least 1'),
    ({'shortest': 0}, 'shortest: 0: must be at least 1'),
    ({'longest': 0}, 'longest: 0: must be at least shortest, 1'),
    ({'fewest': 0}, 'fewest: 0: must be at least 1'),
    ({'fewest': 3, 'most': 2}, 'most: 2: must be at least fewest, 3'),
    ({'usual': 9}, 'usual: 9: must be even'),
    ({'usual': 0}, 'usual: 0: must be at least 1'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    RepeatCopy(**fields)
