"""Hidden tags: the best predictors are those that enumerate all tags."""

from collections.abc import Callable
import itertools

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import Task
from memjax.tasks.composed.delayed import Delayed
from memjax.tasks.language.hidden_tags import HiddenTags
from memjax.tasks.recall.mqar import MQAR
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

TASK = HiddenTags(length=5, tags=3, vocab=6, stay=0.7, sure=0.5)
ROWS = 300
GOLDEN = 'df51f8e85248eee3'


def enumerated(words: list[int], seen: int) -> np.ndarray:
  """`(T, C)`, P(tag of each step | the first `seen` words), from all paths."""
  total_TC = np.zeros((5, 3))
  for path in itertools.product(range(3), repeat=5):
    p = 1 / 3
    for a, b in itertools.pairwise(path):
      p *= 0.7 if a == b else 0.15
    for tag, word in zip(path[:seen], words[:seen], strict=True):
      p *= 0.5 / 2 * (word // 2 == tag) + 0.5 / 6
    total_TC[range(5), path] += p
  return total_TC / total_TC.sum(axis=1, keepdims=True)


@pytest.mark.parametrize('wait', [0, 1, 2, 5])
def test_the_best_predictor_sums_over_all_tags(wait: int) -> None:
  for row in np.asarray(draw(TASK, 4).inputs):
    seen = TASK.posterior(row[None], wait)[0]
    for t in range(5):
      told = enumerated(row.tolist(), min(t + 1 + wait, 5))[t]
      np.testing.assert_allclose(seen[t], told, 1e-9, 1e-12)


@pytest.mark.slow
def test_the_best_predictor_scores_its_baseline() -> None:
  task = HiddenTags()
  batch = draw(task, ROWS)
  for name, wait in (('no future', 0), ('whole row', task.length)):
    answers = task.posterior(np.asarray(batch.inputs), wait)
    seen = score(task, np.log(answers), batch)
    assert abs(seen['accuracy'] - task.baselines['accuracy'][name]) < 0.01
    # A calibrated predictor's loss is the entropy of its own answers.
    entropy = -(answers * np.log(answers)).sum(axis=-1).mean()
    assert abs(seen['loss'] - entropy) < 0.02


def test_one_word_says_what_its_tag_says() -> None:
  task = HiddenTags()
  batch = draw(task, ROWS)
  answers = np.eye(4)[np.asarray(batch.inputs) // 4]
  seen = score(task, answers, batch)['accuracy']
  assert task.baselines['accuracy']['one word'] == pytest.approx(0.55)
  assert abs(seen - 0.55) < 0.02


@pytest.mark.slow
def test_tags_stay_and_are_equally_likely() -> None:
  tags = np.asarray(draw(HiddenTags(), ROWS).targets)
  assert abs((tags[:, 1:] == tags[:, :-1]).mean() - 0.9) < 0.01
  assert_uniform(tags[:, 0], 0, 3)
  assert_uniform(tags[:, -1], 0, 3)


def test_late_labels_stand_behind_their_words() -> None:
  plain, late = draw(TASK, 8), draw(Delayed(task=TASK, steps=2), 8)
  assert late.inputs.shape == (8, 7)
  np.testing.assert_array_equal(late.inputs[:, :5], plain.inputs)
  assert (late.inputs[:, 5:] == 6).all(), 'blanks are a word of their own'
  np.testing.assert_array_equal(late.targets[:, 2:], plain.targets)
  assert late.loss_weights_BT[:, 2:].all()
  assert not late.loss_weights_BT[:, :2].any()


@pytest.mark.slow
def test_without_a_delay_nothing_changes() -> None:
  task = Delayed(task=TASK, steps=0)
  assert task.input_spec == TASK.input_spec
  for one, other in zip(draw(task, 8), draw(TASK, 8), strict=True):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
  ('make', 'words'),
  [
    (lambda: HiddenTags(vocab=6), 'vocab: 6: must be a multiple of tags, 4'),
    (lambda: HiddenTags(sure=1.5), 'sure: 1.5: must be in [0, 1]'),
    (lambda: Delayed(steps=-1), 'steps: -1: must be at least 0'),
    (
      lambda: Delayed(task=MQAR()),
      "task.name: 'MQAR': has its labels among later inputs",
    ),
  ],
)
def test_a_bad_field_is_refused(make: Callable[[], Task], words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    make()
  assert words in str(refused.value)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)
