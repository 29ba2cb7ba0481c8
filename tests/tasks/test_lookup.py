"""Strings to copy and to search, and a phonebook: plain Python answers."""

import re

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import TokenTask
from memjax.tasks.recall.ngram_lookup import NgramLookup
from memjax.tasks.recall.phonebook import Phonebook
from memjax.tasks.recall.string_copy import StringCopy
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, draw, score

ROWS = 300
TASKS = {
  'copy': StringCopy(letters=5, shortest=2, longest=7),
  'palindrome': StringCopy(letters=5, longest=7, backwards=True),
  'behind': NgramLookup(letters=4, shortest=5, longest=9, ngram=2, answer=3),
  'before': NgramLookup(
    letters=4, shortest=5, longest=9, ngram=2, answer=2, key='before'
  ),
  'phonebook': Phonebook(entries=5, fewest=2, name_letters=1, digits=3),
}
GOLDEN = {
  'copy': 'd9a09d113c2ab2d8',
  'palindrome': '90de2d4e9bcc8abd',
  'behind': '1e20712fe861eca9',
  'before': '8dd50d0790c0faee',
  'phonebook': '5b7a3d30aedf77c7',
}
every_task = pytest.mark.parametrize('name', TASKS)


def alphabet(name: str) -> str:
  """The letter of each token; | is the mark, _ the padding."""
  if name == 'phonebook':
    return 'abcdefghijklmnopqrstuvwxyz0123456789:_'
  return 'abcdefg'[: TASKS[name].vocab - 2] + '|_'


def text_of(row: np.ndarray, name: str) -> str:
  return ''.join(alphabet(name)[token] for token in row)


def answer_to(text: str, name: str) -> str:
  """What a reader of the row, without its answer, would write."""
  if name == 'copy':
    return text.partition('|')[0]
  if name == 'palindrome':
    return text.partition('|')[0][::-1]
  if name == 'behind':
    string, _, rest = text.partition('|')
    return string[string.index(rest[:2]) + 2 :][:3]
  if name == 'before':
    key, string, _ = text.split('|')
    return string[string.index(key) + 2 :][:2]
  *entries, question = text.rstrip('_').split('_')
  book = dict(entry.split(':') for entry in entries)
  assert len(book) == len(entries)
  return book[question.partition(':')[0]]


def answers_of(batch: Batch, name: str) -> np.ndarray:
  """The oracle's answers, checked against where the labels stand."""
  answers = np.zeros(batch.inputs.shape, int)
  for b, row in enumerate(np.asarray(batch.inputs)):
    text = text_of(row, name)
    answer = answer_to(text, name)
    (labelled,) = np.nonzero(np.asarray(batch.loss_weights_BT)[b])
    assert len(answer) == len(labelled) == np.ptp(labelled) + 1
    # The answer is read, but for its last letter; then there is padding only.
    start = labelled[0] + 1
    assert re.fullmatch(f'{re.escape(answer[:-1])}_*', text[start:])
    answers[b, labelled] = [alphabet(name).index(letter) for letter in answer]
  return answers


@pytest.mark.fast_cases(1)
@every_task
def test_the_oracle_scores_everything(name: str) -> None:
  task, batch = TASKS[name], draw(TASKS[name], ROWS)
  answers = answers_of(batch, name)
  scores = score(task, 40 * np.eye(task.vocab)[answers], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  assert batch.loss_weights_BT.sum(axis=1).max() == task.labels


@pytest.mark.fast_cases(2)
@every_task
def test_the_distance_leads_back_to_the_letter(name: str) -> None:
  batch = draw(TASKS[name], ROWS)
  b, t = np.nonzero(batch.loss_weights_BT)
  distance = np.asarray(batch.score_axis_BT)[b, t]
  assert (distance >= 0).all()
  np.testing.assert_array_equal(
    np.asarray(batch.inputs)[b, t - distance], np.asarray(batch.targets)[b, t]
  )


@every_task
def test_random_answers_score_chance(name: str) -> None:
  task, batch = TASKS[name], draw(TASKS[name], ROWS)
  first = 26 if name == 'phonebook' else 0
  letters = 10 if name == 'phonebook' else task.vocab - 2
  rng = np.random.default_rng(0)
  guess = rng.integers(first, first + letters, batch.inputs.shape)
  scores = score(task, np.eye(task.vocab)[guess], batch)
  share = task.baselines['accuracy']['chance']
  assert share == 1 / letters
  labels = float(batch.loss_weights_BT.sum())
  deviation = np.sqrt(share * (1 - share) / labels)
  assert abs(scores['accuracy'] - share) < 4 * deviation


def test_any_entry_scores_its_baseline() -> None:
  task = TASKS['phonebook']
  batch, rng = draw(task, 2000), np.random.default_rng(0)
  right = []
  for row in np.asarray(batch.inputs):
    text = text_of(row, 'phonebook')
    entries = text.rstrip('_').split('_')[:-1]
    assert 2 <= len(entries) <= 5
    chosen = entries[rng.integers(len(entries))].partition(':')[2]
    right.append(chosen == answer_to(text, 'phonebook'))
  share = task.baselines['exact_match']['any entry']
  deviation = np.sqrt(share * (1 - share) / 2000)
  assert abs(np.mean(right) - share) < 4 * deviation


@every_task
def test_the_data_is_what_it_was(name: str) -> None:
  assert_as_it_was(TASKS[name], ROWS, GOLDEN[name])


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (StringCopy, {'longest': 0}, 'longest: 0: must be at least shortest'),
    (StringCopy, {'letters': 1}, 'letters: 1: must be at least 2'),
    (NgramLookup, {'key': 'beside'}, 'key: .*one of behind, before'),
    (NgramLookup, {'shortest': 3}, r'shortest: 3: .*ngram \+ answer, 4'),
    (Phonebook, {'name_letters': 6}, 'name_letters: 6: must be in 1..5'),
    (
      Phonebook,
      {'name_letters': 1, 'entries': 27},
      'entries: 27: .*26, the number',
    ),
    (Phonebook, {'fewest': 17}, 'entries: 16: must be at least fewest, 17'),
  ],
)
def test_a_bad_field_is_refused(
  task: type[TokenTask], fields: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    task(**fields)
