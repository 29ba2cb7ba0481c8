"""Copy, reverse and retrieval in segments: players with a list win."""

from collections.abc import Callable
import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import TokenTask
from memjax.tasks.segments.associative_retrieval import AssociativeRetrieval
from memjax.tasks.segments.segment_copy import SegmentCopy
from memjax.tasks.segments.segment_reverse import SegmentReverse
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

ROWS, N, K = 1000, 5, 3
COPY = SegmentCopy(symbols=N, alphabet=4, segments=4)
REVERSE = SegmentReverse(symbols=N, alphabet=4, segments=4)
RETRIEVAL = AssociativeRetrieval(pairs=K, keys=6, values=5, segments=3)
GOLDEN = {
  COPY: '957dcdd22d5d76be',
  REVERSE: '9bbbee6427106668',
  RETRIEVAL: '74b9534ed9bca02a',
}
BOTH = pytest.mark.parametrize('task', [COPY, REVERSE])
ALL = pytest.mark.parametrize(
  'task', GOLDEN, ids=lambda task: type(task).__name__
)


def reader(task: TokenTask) -> Callable[[int], int]:
  """The oracle of a task: answers each token of a row, from left to right."""
  kept: list[int] = []
  to_say: list[int] = []
  known: dict[int, int] = {}
  before = [0]

  def recite(token: int) -> int:
    if token == 1:
      to_say.extend(kept * 2 if task is COPY else kept[::-1])
    elif not to_say:
      kept.append(token)
    return to_say.pop(0) if to_say else 0

  def retrieve(token: int) -> int:
    if token < 6:
      known[before[0]] = token
    predicted = known.get(before[0], 0) if token == 6 else 0
    before[0] = token
    return predicted

  return retrieve if task is RETRIEVAL else recite


def oracle(task: TokenTask, row: np.ndarray) -> list[int]:
  answer = reader(task)
  return [answer(token) for token in row]


@BOTH
def test_a_sequence_is_read_and_repeated(task: SegmentCopy) -> None:
  batch = draw(task, ROWS)
  inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
  shown = inputs[:, :N]
  for symbols in shown.T:
    assert_uniform(symbols, 2, 5)
  predicted = np.tile(shown, 2) if task is COPY else shown[:, ::-1]
  end = N + predicted.shape[1]
  np.testing.assert_array_equal(inputs[:, N], 1)
  np.testing.assert_array_equal(inputs[:, N + 1 : end], predicted[:, :-1])
  assert (inputs[:, end:] == 0).all()
  np.testing.assert_array_equal(targets[:, N:end], predicted)
  assert not targets[:, :N].any()
  assert not targets[:, end:].any()
  weights = [0] * N + [1] * (end - N) + [0] * (task.length - end)
  np.testing.assert_array_equal(batch.loss_weights_BT, [weights] * ROWS)


def test_the_label_of_a_key_is_its_value() -> None:
  batch = draw(RETRIEVAL, ROWS)
  inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
  keys, values = inputs[:, : 2 * K : 2], inputs[:, 1 : 2 * K : 2]
  for key, value in zip(keys.T, values.T, strict=True):
    assert_uniform(key, 7, 12)
    assert_uniform(value, 1, 5)
  for row in (*keys, *values):
    assert len(set(row)) == K
  here = keys == inputs[:, [2 * K]]
  assert (here.sum(axis=1) == 1).all()
  assert_uniform(here.argmax(axis=1), 0, K - 1)
  np.testing.assert_array_equal(inputs[:, 2 * K + 1 :], [[6, 0]] * ROWS)
  np.testing.assert_array_equal(targets[:, 2 * K + 1], values[here])
  weights = [0] * (2 * K + 1) + [1, 0]
  np.testing.assert_array_equal(batch.loss_weights_BT, [weights] * ROWS)
  assert not targets[np.asarray(batch.loss_weights_BT) == 0].any()


@pytest.mark.parametrize(
  ('task', 'segment', 'length'),
  [
    (SegmentCopy(segments=3), 24, 72),
    (SegmentCopy(segments=6), 12, 72),
    (SegmentCopy(segments=9), 8, 72),
    (SegmentReverse(segments=3), 16, 48),
    (SegmentReverse(segments=6), 8, 48),
    (SegmentReverse(segments=9), 6, 54),
    (AssociativeRetrieval(segments=5), 2, 10),
    (AssociativeRetrieval(segments=3), 4, 12),
    (SegmentCopy(symbols=120, segments=9), 40, 360),
  ],
)
def test_rows_divide_into_segments(
  task: SegmentCopy, segment: int, length: int
) -> None:
  assert (task.segment_length, task.length) == (segment, length)


def test_symbols_are_as_many_as_the_authors_draw() -> None:
  for task in (SegmentCopy(), SegmentReverse()):
    assert sorted(set(draw(task, 100).targets[:, 24:48].ravel().tolist())) == [
      *range(2, 10)
    ]
    assert task.baselines['accuracy'] == {'any symbol': 1 / 8}


@pytest.mark.fast_cases(1)
@ALL
def test_the_distance_leads_back_to_the_symbol(task: TokenTask) -> None:
  batch = draw(task, ROWS)
  b, t = np.nonzero(batch.loss_weights_BT)
  distance = np.asarray(batch.score_axis_BT)[b, t].reshape(ROWS, -1)
  shown = t - distance.reshape(-1)
  np.testing.assert_array_equal(batch.inputs[b, shown], batch.targets[b, t])
  if task is COPY:
    np.testing.assert_array_equal(distance, [[5] * 5 + [4] * 5] * ROWS)
  elif task is REVERSE:
    np.testing.assert_array_equal(distance, [[1, 3, 5, 7, 9]] * ROWS)


@ALL
def test_the_oracle_scores_everything(task: TokenTask) -> None:
  batch = draw(task, ROWS)
  predicted = np.array([oracle(task, row) for row in np.asarray(batch.inputs)])
  scores = score(task, 20 * np.eye(task.input_spec.size)[predicted], batch)
  assert scores['accuracy'] == 1
  assert scores['loss'] < 1e-5
  assert scores.get('exact_match', 1) == 1


@ALL
def test_guessing_scores_the_baselines(task: TokenTask) -> None:
  batch, rng = draw(task, ROWS), np.random.default_rng(0)
  shape, vocab = batch.inputs.shape, task.input_spec.size
  low, high = (1, 6) if task is RETRIEVAL else (2, 6)
  guesses = {'any symbol': rng.integers(low, high, shape)}
  if task is RETRIEVAL:
    pick = 2 * rng.integers(0, K, shape) + 1
    of_row = np.take_along_axis(np.asarray(batch.inputs), pick, 1)
    any_value = guesses['any symbol']
    guesses = {'any value': any_value, 'any value of the row': of_row}
  for name, guess in guesses.items():
    share = task.baselines['accuracy'][name]
    accuracy = score(task, np.eye(vocab)[guess], batch)['accuracy']
    deviation = math.sqrt(
      share * (1 - share) / float(batch.loss_weights_BT.sum())
    )
    assert abs(accuracy - share) < 4 * deviation, name
    assert task.baselines['loss'][name] == pytest.approx(-math.log(share))
  y = np.full((*shape, vocab), -1e4)
  y[..., low:high] = 0
  loss = score(task, y, batch)['loss']
  expected = task.baselines['loss'][next(iter(guesses))]
  assert loss == pytest.approx(expected, rel=1e-5)


@ALL
def test_the_data_is_what_it_was(task: TokenTask) -> None:
  assert_as_it_was(task, ROWS, GOLDEN[task])


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (SegmentCopy, {'symbols': 0}, 'symbols: 0: must be at least 1'),
    (SegmentCopy, {'alphabet': 0}, 'alphabet: 0: must be at least 1'),
    (SegmentCopy, {'segments': 0}, 'segments: 0: must be at least 1'),
    (SegmentReverse, {'symbols': 0}, 'symbols: 0: must be at least 1'),
    (SegmentReverse, {'segments': -1}, 'segments: -1: must be at least 1'),
    (AssociativeRetrieval, {'pairs': 0}, 'pairs: 0: must be at least 1'),
    (AssociativeRetrieval, {'segments': 0}, 'segments: 0: must be at least 1'),
    (AssociativeRetrieval, {'keys': 3}, 'keys: 3: must be at least pairs, 4'),
    (AssociativeRetrieval, {'pairs': 11}, 'values: 10: must be at least pairs'),
  ],
)
def test_a_bad_field_is_refused(
  task: type[TokenTask], fields: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    task(**fields)


@pytest.mark.parametrize(
  ('task', 'row'),
  [
    (SegmentCopy(symbols=1, alphabet=1, segments=1), [2, 1, 2]),
    (SegmentReverse(symbols=1, alphabet=1, segments=3), [2, 1, 0]),
    (
      AssociativeRetrieval(pairs=1, keys=1, values=1, segments=1),
      [3, 1, 3, 2],
    ),
  ],
)
def test_the_smallest_task_works(task: TokenTask, row: list[int]) -> None:
  np.testing.assert_array_equal(draw(task, 2).inputs, [row] * 2)
