"""Copy of bits: an oracle with a list scores everything."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.ntm.bit_copy import BitCopy
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_fair,
  assert_uniform,
  certain,
  draw,
  score,
)

ROWS = 1000
TASK = BitCopy(bits=3, shortest=2, longest=5)
GOLDEN = 'e850d622b1f1e608'


def oracle(row: np.ndarray) -> np.ndarray:
  """Reads a row from left to right; repeats it after the delimiter."""
  kept: list[np.ndarray] = []
  predicted = []
  delimited = False
  for *vector, delimiter in row:
    predicted.append(
      kept.pop(0) if delimited and kept else np.zeros(len(vector))
    )
    delimited |= delimiter == 1
    if not delimited:
      kept.append(np.array(vector))
  return np.stack(predicted)


def test_a_row_of_known_length_by_hand() -> None:
  inputs, targets, loss_weights_BT, *_ = draw(BitCopy(shortest=2, longest=2), 5)
  np.testing.assert_array_equal(inputs[:, :2, :8], targets[:, 3:])
  np.testing.assert_array_equal(inputs[:, 2:, :8], np.zeros((5, 3, 8)))
  np.testing.assert_array_equal(inputs[:, :, 8], [[0, 0, 1, 0, 0]] * 5)
  np.testing.assert_array_equal(targets[:, :3], np.zeros((5, 3, 8)))
  np.testing.assert_array_equal(loss_weights_BT, [[0, 0, 0, 1, 1]] * 5)


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, certain(predicted), batch)
  assert (scores['exact_match'], scores['bits_wrong']) == (1, 0)
  assert scores['loss'] < 1e-6


def test_lengths_are_uniform_and_bits_fair() -> None:
  batch = draw(TASK, ROWS)
  delimiter = np.asarray(batch.inputs[..., -1])
  np.testing.assert_array_equal(delimiter.sum(1), 1)
  count = delimiter.argmax(1)
  np.testing.assert_array_equal(batch.loss_weights_BT.sum(1), count)
  assert_uniform(count, 2, 5)
  for n in range(2, 6):
    assert_fair(np.asarray(batch.inputs)[count == n, :n, :-1])


def test_chance_at_the_lengths_of_the_paper() -> None:
  assert BitCopy().baselines['bits_wrong']['chance'] == 42
  assert BitCopy().length == 41


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bits': 0}, 'bits: 0: must be at least 1'),
    ({'shortest': 0}, 'shortest: 0: must be at least 1'),
    ({'shortest': 21}, 'longest: 20: must be at least shortest, 21'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    BitCopy(**fields)
