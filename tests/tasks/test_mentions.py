"""Mentions: an oracle that keeps the cue of each name knows every type."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.language.mentions import Mentions
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

TASK = Mentions(
  length=40, entities=3, types=4, cues=2, names=9, fillers=5, density=0.5
)
ROWS = 300
CUES, NAMES = 8, 17  # ends of the cue words and of the names
GOLDEN = 'd0ebb3627ffb1741'


def test_the_oracle_keeps_the_type_of_each_name() -> None:
  batch = draw(TASK, ROWS)
  answers = np.zeros((ROWS, 40), int)
  for b, row in enumerate(np.asarray(batch.inputs)):
    cues: dict[int, int] = {}
    labels = []
    for t in range(0, 40, 2):
      word, name = row[t : t + 2]
      if word < CUES:
        assert CUES <= name < NAMES
        assert name not in cues, 'a name is introduced once'
        cues[name] = t
      elif name < NAMES:
        assert word >= NAMES, 'a filler stands before a later mention'
        labels.append(t + 1)
        answers[b, t + 1] = row[cues[name]] // 2
        assert batch.score_axis_BT[b, t + 1] == t + 1 - cues[name]
      else:
        assert min(word, name) >= NAMES
    assert np.flatnonzero(batch.loss_weights_BT[b]).tolist() == labels
    assert labels[-1] == 39, 'the entity of the first mention is the last'
    assert len(cues) <= 3
  scores = score(TASK, 40 * np.eye(4)[answers], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1


def test_names_tell_no_type() -> None:
  batch = draw(TASK, ROWS)
  last = np.asarray(batch.targets)[:, -1]
  names = np.asarray(batch.inputs)[:, -1]
  assert_uniform(last, 0, 3)
  assert_uniform(names, CUES, NAMES - 1)
  for kind in range(4):
    share = (last[names < 12] == kind).mean()
    deviation = np.sqrt(0.25 * 0.75 / (names < 12).sum())
    assert abs(share - 0.25) < 4 * deviation


def test_chance_is_one_of_the_types() -> None:
  batch = draw(TASK, ROWS)
  guesses = np.random.default_rng(0).integers(0, 4, batch.targets.shape)
  seen = score(TASK, np.eye(4)[guesses], batch)['accuracy']
  count = float(batch.loss_weights_BT.sum())
  share = TASK.baselines['accuracy']['chance']
  assert abs(seen - share) < 4 * np.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'length': 5}, 'length: 5: must be even'),
    ({'types': 1}, 'types: 1: must be at least 2'),
    ({'names': 7}, 'names: 7: must be at least entities, 8'),
    ({'density': 0.0}, 'density: 0.0: must be in'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Mentions(**fields)
  assert words in str(refused.value)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)
