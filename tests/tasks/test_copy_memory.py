"""Copy memory: an oracle with ten slots scores everything, without: chance."""

import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.long_range.copy_memory import CopyMemory
from tests.tasks.drawn import assert_as_it_was, draw, score

DELAY, ROWS = 30, 1000
TASK = CopyMemory(delay=DELAY)
GOLDEN = '04c459205592fe31'


def oracle(tokens: np.ndarray) -> np.ndarray:
  """Reads a row from left to right; repeats it after the marker."""
  kept: list[int] = []
  markers, predicted = 0, []
  for token in tokens:
    if 1 <= token <= 8:
      kept.append(token)
    markers += token == 9
    predicted.append(kept.pop(0) if markers > 1 else 0)
  return np.array(predicted)


def test_a_row_by_hand() -> None:
  inputs, targets, loss_weights_BT, _, distance_BT = draw(
    CopyMemory(delay=3), 1
  )[:5]
  data = list(np.asarray(inputs[0, :10]))
  assert all(1 <= symbol <= 8 for symbol in data)
  assert list(inputs[0]) == data + [0] * 2 + [9] * 11
  assert list(targets[0]) == [0] * 13 + data
  assert list(loss_weights_BT[0]) == [1] * 23
  assert list(distance_BT[0]) == [0] * 13 + [13] * 10


def test_the_oracle_scores_everything() -> None:
  batch = draw(TASK, ROWS)
  answers = np.stack([oracle(row) for row in np.asarray(batch.inputs)])
  scores = score(TASK, 20 * np.eye(10)[answers], batch)
  assert (scores['accuracy'], scores['recall']) == (1, 1)
  assert scores['loss'] < 1e-6


def test_a_player_without_memory_scores_the_baseline() -> None:
  logits = np.full((ROWS, DELAY + 20, 10), -1e4)
  logits[:, :-10, 0] = 0
  logits[:, -10:, 1:9] = 0
  loss = score(TASK, logits, draw(TASK, ROWS))['loss']
  assert loss == pytest.approx(10 * math.log(8) / (DELAY + 20), rel=1e-5)
  assert loss == pytest.approx(TASK.baselines['loss']['memoryless'], rel=1e-5)


def test_guessing_recalls_one_in_eight() -> None:
  guess = np.random.default_rng(0).integers(1, 9, (ROWS, DELAY + 20))
  recall = score(TASK, np.eye(10)[guess], draw(TASK, ROWS))['recall']
  deviation = math.sqrt(1 / 8 * 7 / 8 / (ROWS * 10))
  assert abs(recall - TASK.baselines['recall']['chance']) < 4 * deviation


@pytest.mark.parametrize(
  ('delay', 'published'), [(500, 0.0400), (1000, 0.02039), (2000, 0.01029)]
)
def test_the_baseline_is_the_published_one(
  delay: int, published: float
) -> None:
  ours = CopyMemory(delay=delay).baselines['loss']['memoryless']
  assert ours == pytest.approx(published, abs=5e-5)


def test_symbols_are_uniform() -> None:
  symbols = np.asarray(draw(TASK, ROWS).inputs[:, :10])
  for place in range(10):
    counts = np.bincount(symbols[:, place], minlength=9)[1:]
    chi2 = ((counts - ROWS / 8) ** 2 / (ROWS / 8)).sum()
    assert chi2 < 29.9, place  # 7 degrees of freedom, one in 10,000


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize('delay', [0, -3])
def test_a_bad_delay_is_refused(delay: int) -> None:
  with pytest.raises(ConfigError, match=r'delay: .*at least 1'):
    CopyMemory(delay=delay)
