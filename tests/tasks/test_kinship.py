"""Kinship: an oracle follows the chain and rewrites its path, up and down."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.recall.kinship import RELATIONS, Kinship
from tests.tasks.drawn import assert_as_it_was, draw, score

TASK = Kinship(shortest=1, longest=6, facts=8, names=40)
ROWS = 400
GOLDEN = '9a2e08214380f305'
UP_DOWN = {'parent': 'u', 'child': 'd', 'sibling': 'ud', 'spouse': 's'}
STEPS = tuple(UP_DOWN)
# A path's shortest form: up, down, to the spouse. The rules hold for persons
# that differ: a child's parent is the spouse, a parent's spouse a parent.
REWRITES = (('udu', 'u'), ('du', 's'), ('us', 'u'), ('sd', 'd'))
NORMAL = {
  'u': 'parent',
  'd': 'child',
  'ud': 'sibling',
  's': 'spouse',
  'uu': 'grandparent',
  'dd': 'grandchild',
  'uud': 'uncle',
  'udd': 'nephew',
  'sudd': 'nephew',
  'uudd': 'cousin',
  'su': 'parent_in_law',
  'ds': 'child_in_law',
  'uds': 'sibling_in_law',
  'sud': 'sibling_in_law',
}


def composed(steps: list[str]) -> str:
  path = ''
  for step in steps:
    path += UP_DOWN[step]
    while any(old in path for old, _ in REWRITES):
      for old, new in REWRITES:
        path = path.replace(old, new)
  return NORMAL[path]


def solve(row: np.ndarray) -> tuple[int, int]:
  """The answer, and the number of facts on the way."""
  facts = {int(o): (int(s), int(w) - 1) for s, w, o in row[:-3].reshape(-1, 3)}
  goal, mark, person = row[-3:].tolist()
  assert mark == 0
  steps, man = [], 0
  while person != goal:
    person, word = facts[person]
    steps.append(STEPS[word // 2])
    man = word % 2
  return 2 * RELATIONS.index(composed(steps)) + man, len(steps)


def test_the_oracle_follows_the_chain() -> None:
  batch = draw(TASK, ROWS)
  answers, lengths = zip(*map(solve, np.asarray(batch.inputs)), strict=True)
  assert set(lengths) == set(range(1, 7))
  assert np.asarray(batch.score_axis_BT)[:, -1].tolist() == list(lengths)
  logits = np.zeros((ROWS, TASK.length, 24))
  logits[range(ROWS), -1, answers] = 40
  scores = score(TASK, logits, batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  assert np.asarray(batch.inputs).max() < TASK.input_spec.vocab


def test_a_person_is_named_as_often_as_a_family_does() -> None:
  for row in np.asarray(draw(TASK, 50).inputs):
    facts = row[:-3].reshape(-1, 3)
    assert len(set(facts[:, 0])) == len(set(facts[:, 2])) == TASK.facts


@pytest.mark.slow
@pytest.mark.parametrize('length', [2, 3])
def test_relations_of_a_length_are_equally_likely(length: int) -> None:
  task = Kinship(shortest=length, longest=length)
  target = np.asarray(draw(task, ROWS).targets)[:, -1]
  counts = np.bincount(target // 2, minlength=12)
  expected = ROWS / (counts > 0).sum()
  assert np.abs(counts[counts > 0] - expected).max() < 5 * expected**0.5
  assert abs((target % 2).mean() - 0.5) < 0.1


def test_chance_is_one_of_the_classes() -> None:
  assert TASK.baselines['accuracy']['chance'] == pytest.approx(1 / 24)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'shortest': 5}, 'longest: 4: must be at least shortest, 5'),
    ({'longest': 11}, 'facts: 10: must be at least longest, 11'),
    ({'names': 20}, 'names: 20: must be at least 21 for these facts'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Kinship(**fields)
  assert words in str(refused.value)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)
