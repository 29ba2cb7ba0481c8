"""Priority sort: an oracle that sorts scores everything."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.ntm.priority_sort import PrioritySort
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_fair,
  assert_uniform,
  certain,
  draw,
  score,
)

ROWS = 1000
TASK = PrioritySort(bits=4, vectors=6, outputs=4)
GOLDEN = '3bab7907de2694f0'


def oracle(row: np.ndarray) -> np.ndarray:
  """Sorts the vectors as it reads them; outputs the first ones afterwards."""
  queue: list[tuple[float, list[float]]] = []
  predicted = []
  for *vector, priority in row:
    if priority != 0:
      place = sum(other > priority for other, _ in queue)
      queue.insert(place, (priority, vector))
      predicted.append([0.0] * len(vector))
    else:
      predicted.append(queue.pop(0)[1])
  return np.array(predicted)


def test_a_row_has_the_shape_of_the_paper() -> None:
  inputs, targets, loss_weights_BT, *_ = draw(PrioritySort(), 5)
  assert inputs.shape == (5, 36, 9)
  assert targets.shape == (5, 36, 8)
  np.testing.assert_array_equal(inputs[:, 20:], np.zeros((5, 16, 9)))
  np.testing.assert_array_equal(targets[:, :20], np.zeros((5, 20, 8)))
  np.testing.assert_array_equal(loss_weights_BT, [[0] * 20 + [1] * 16] * 5)


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, certain(predicted), batch)
  assert (scores['exact_match'], scores['bits_wrong']) == (1, 0)
  assert scores['loss'] < 1e-6


def test_the_wrong_order_is_worth_chance_for_a_vector_out_of_place() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.array(batch.targets)
  predicted[:, 6:] = predicted[:, :5:-1]
  wrong = score(TASK, certain(predicted), batch)['bits_wrong']
  assert abs(wrong - 8) < 4 * np.sqrt(2 * 16 / 4 / ROWS)


def test_priorities_are_uniform_and_bits_fair() -> None:
  inputs = np.asarray(draw(TASK, ROWS).inputs)[:, :6]
  priority = inputs[..., -1]
  assert priority.min() >= -1
  assert priority.max() < 1
  for place in range(6):
    tenth = np.floor(5 * (priority[:, place] + 1)).astype(int)
    assert_uniform(tenth, 0, 9)
    assert_uniform(priority.argsort(1)[:, place], 0, 5)
  assert_fair(inputs[..., :-1])


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bits': 0}, 'bits: 0: must be at least 1'),
    ({'outputs': 0}, 'outputs: 0: must be at least 1'),
    ({'outputs': 21}, 'vectors: 20: must be at least outputs, 21'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    PrioritySort(**fields)
