"""Adding: an oracle that adds scores 0; always answering 1 scores 1/6."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.long_range.adding import Adding
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, draw

LENGTH, ROWS = 12, 2000
TASK = Adding(length=LENGTH)
GOLDEN = '1139f3ccf37a560d'


def score(answers_BT: np.ndarray, batch: Batch) -> dict[str, float]:
  y = jnp.asarray(answers_BT, jnp.float32)[..., None]
  measured = TASK.measure(y, batch)
  return {name: float(metric.value()) for name, metric in measured.items()}


def test_two_steps_are_marked_and_their_sum_is_the_last_label() -> None:
  inputs, targets, loss_weights_BT, _, distance_BT = draw(TASK, ROWS)[:5]
  value_BT, marker_BT = inputs[..., 0], inputs[..., 1]
  assert value_BT.min() >= 0
  assert value_BT.max() < 1
  assert set(np.unique(marker_BT)) == {0, 1}
  assert (marker_BT.sum(1) == 2).all()
  assert (loss_weights_BT.sum(1) == 1).all()
  assert (loss_weights_BT[:, -1] == 1).all()
  assert (targets[:, :-1] == 0).all()
  first_B = np.argmax(marker_BT, axis=1)
  np.testing.assert_array_equal(distance_BT[:, -1], LENGTH - 1 - first_B)


def test_the_oracle_adds() -> None:
  batch = draw(TASK, ROWS)
  answers = [
    np.cumsum([value for value, marker in row if marker == 1])[-1]
    for row in np.asarray(batch.inputs)
  ]
  scores = score(np.repeat(np.array(answers)[:, None], LENGTH, 1), batch)
  assert scores['loss'] < 1e-12
  assert scores['exact_match'] == 1


def test_always_saying_1_scores_the_baseline() -> None:
  scores = score(np.ones((ROWS, LENGTH)), draw(TASK, ROWS))
  # The fourth central moment of a sum of two uniform numbers is 1/15.
  deviation = math.sqrt((1 / 15 - 1 / 36) / ROWS)
  assert TASK.baselines['loss']['always 1'] == 1 / 6
  assert abs(scores['loss'] - 1 / 6) < 4 * deviation
  share = TASK.baselines['exact_match']['always 1']
  deviation = math.sqrt(share * (1 - share) / ROWS)
  assert abs(scores['exact_match'] - share) < 4 * deviation


def test_an_error_of_more_than_004_is_not_solved() -> None:
  batch = draw(TASK, ROWS)
  right = np.asarray(batch.targets)[..., 0]
  assert score(right + 0.039, batch)['exact_match'] == 1
  assert score(right - 0.041, batch)['exact_match'] == 0


def test_every_pair_of_steps_is_as_likely() -> None:
  marker = np.asarray(draw(Adding(length=6), 3000).inputs[..., 1])
  pairs = [tuple(np.flatnonzero(row)) for row in marker]
  counts = np.unique(pairs, axis=0, return_counts=True)[1]
  assert len(counts) == 15
  chi2 = ((counts - 200) ** 2 / 200).sum()
  assert chi2 < 42.6  # 14 degrees of freedom, one in 10,000


def test_values_are_uniform_and_independent_of_the_marker() -> None:
  value, marker = np.moveaxis(np.asarray(draw(TASK, ROWS).inputs), -1, 0)
  for some in (value[marker == 1], value[marker == 0]):
    counts = np.histogram(some, 10, (0, 1))[0]
    chi2 = ((counts - some.size / 10) ** 2 / (some.size / 10)).sum()
    assert chi2 < 33.7  # 9 degrees of freedom, one in 10,000


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize('length', [1, 0, -4])
def test_a_bad_length_is_refused(length: int) -> None:
  with pytest.raises(ConfigError, match=r'length: .*at least 2'):
    Adding(length=length)
