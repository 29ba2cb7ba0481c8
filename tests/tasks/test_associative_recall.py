"""Associative recall: an oracle with a list of items scores everything."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.ntm.associative_recall import AssociativeRecall
from memjax.types import Batch
from tests.tasks.drawn import (
  assert_as_it_was,
  assert_fair,
  assert_uniform,
  certain,
  draw,
  score,
)

ROWS = 1000
TASK = AssociativeRecall(bits=8, vectors=2, most=4)
GOLDEN = '3ff18e6b57da9728'


def oracle(row: np.ndarray) -> np.ndarray:
  """Reads a row from left to right; answers the item after the query."""
  items: list[list] = []
  query: list = []
  ahead: list = []
  delimiters, predicted = 0, []
  for *vector, delimiter, asking in row:
    predicted.append(ahead.pop(0) if ahead else np.zeros(len(vector)))
    delimiters += asking == 1
    if delimiter == 1:
      items.append([])
    elif asking == 1 and delimiters == 2:
      ahead = [np.array(v) for v in items[items.index(query) + 1]]
    elif delimiters == 0:
      items[-1].append(vector)
    elif delimiters == 1 and asking == 0:
      query.append(vector)
  return np.stack(predicted)


def parts(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The number of items of each row, the index of its query, and all inputs."""
  inputs = np.asarray(batch.inputs)
  count = inputs[..., -2].sum(1).astype(int)
  queried = np.empty(len(inputs), int)
  for i, (row, n) in enumerate(zip(inputs, count, strict=True)):
    items = row[: 3 * n].reshape(n, 3, -1)[:, 1:, :-2]
    query = row[3 * n + 1 : 3 * n + 3, :-2]
    [found] = np.flatnonzero((items == query).all((1, 2)))[:1]
    queried[i] = found
  return count, queried, inputs


def test_a_row_of_known_length_by_hand() -> None:
  inputs, targets, loss_weights_BT, *_ = draw(
    AssociativeRecall(fewest=2, most=2), 5
  )
  #          item 1     item 2     query        answer
  listed = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  asking = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
  answer = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
  np.testing.assert_array_equal(inputs[..., 6], [listed] * 5)
  np.testing.assert_array_equal(inputs[..., 7], [asking] * 5)
  np.testing.assert_array_equal(loss_weights_BT, [answer] * 5)
  bits, predicted = np.asarray(inputs[..., :6]), np.asarray(targets)
  np.testing.assert_array_equal(bits[:, 1:4], bits[:, 9:12])
  np.testing.assert_array_equal(bits[:, 5:8], predicted[:, 13:])
  np.testing.assert_array_equal(bits[:, [0, 4, 8, 12, 13, 14, 15]], 0)
  np.testing.assert_array_equal(predicted[:, :13], 0)


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  predicted = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, certain(predicted), batch)
  assert (scores['exact_match'], scores['bits_wrong']) == (1, 0)
  assert scores['loss'] < 1e-6


def test_saying_the_item_itself_is_wrong() -> None:
  """Its bits and the next item's are independent: half of them differ."""
  batch = draw(TASK, ROWS)
  count, queried, inputs = parts(batch)
  predicted = np.zeros(np.shape(batch.targets))
  for i, (n, item) in enumerate(zip(count, queried, strict=True)):
    predicted[i, 3 * n + 4 : 3 * n + 6] = inputs[
      i, 3 * item + 1 : 3 * item + 3, :8
    ]
  scores = score(TASK, certain(predicted), batch)
  assert abs(scores['bits_wrong'] - 8) < 4 * np.sqrt(16 / 4 / ROWS)


def test_numbers_of_items_and_queries_are_uniform_and_bits_fair() -> None:
  batch = draw(TASK, ROWS)
  count, queried, inputs = parts(batch)
  assert_uniform(count, 2, 4)
  for n in (3, 4):
    assert_uniform(queried[count == n], 0, n - 2)
  np.testing.assert_array_equal(queried[count == 2], 0)
  np.testing.assert_array_equal(batch.loss_weights_BT.sum(1), 2)
  assert_fair(inputs[:, 1:3, :8])
  assert_fair(np.asarray(batch.targets)[batch.loss_weights_BT > 0])


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bits': 0}, 'bits: 0: must be at least 1'),
    ({'vectors': 0}, 'vectors: 0: must be at least 1'),
    ({'fewest': 1}, 'fewest: 1: must be at least 2'),
    ({'fewest': 7}, 'most: 6: must be at least fewest, 7'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    AssociativeRecall(**fields)
