"""The study of the external memory computes what its page says."""

from pathlib import Path
import random
import re

import numpy as np
import pytest

from experiments.external_memory import (
  carries,
  chunks,
  costs,
  masking,
  neighbours,
)
from memjax.store.mask import Mask


def test_costs_are_rows_of_tables(tmp_path: Path) -> None:
  for needed in ('apsw', 'cryptography', 'phonenumbers', 'stdnum'):
    pytest.importorskip(needed)
  head, line, *rows = costs.search_rows(1000)
  assert head.count('|') == line.count('|') == rows[0].count('|')
  assert rows[0].startswith('| 1,000 |')
  safeguards = list(costs.safeguard_rows(tmp_path))[2:]
  assert len(safeguards) == 7
  assert all(float(row.split('|')[2]) > 0 for row in safeguards)


def test_the_mixture_of_the_word_that_came() -> None:
  score = np.array([[0.9, 0.9 - 0.05 * np.log(2), 0.9 - 0.05 * np.log(4)]])
  token = np.array([[3, 5, 3]])
  words = neighbours.Words(np.zeros((1, 2)), np.array([3]), np.array([0.2]))
  found = neighbours.Found(score, token, np.array([[7, 1, 2]]))
  p = neighbours.mixture(words, found, 3, 0.25, 0.05)
  np.testing.assert_allclose(p, [0.75 * 0.2 + 0.25 * (1 + 0.25) / 1.75])
  share, temperature = neighbours.choose(words, found, 3)
  assert (share, temperature) == (0.5, 0.02)  # the nearest one is right
  rows = list(neighbours.age_rows(words, found, 10, p, 0.25))
  assert rows[2].startswith('| 1 to 3 | 1 | +0.')


def test_a_rule_says_what_followed_the_same_two_tokens() -> None:
  after = np.array([[1, 2, 3, 1, 2, 4], [2, 3, 5, 9, 9, 9]])
  said = chunks.said(after, np.array([1, 2, 3, 5, 7, 7]))
  assert said.tolist() == [3, 1, 9, -1]  # the nearest, and the first in it
  assert chunks.said(after[1:], np.array([2, 3, 5])).tolist() == [5]


def test_personal_data_of_notes_is_found() -> None:
  pytest.importorskip('phonenumbers')
  pytest.importorskip('stdnum')
  rng, mask = random.Random(0), Mask(bytes(32))
  people = masking.crowd(rng)
  text = ''.join(masking.note(rng, people) for _ in range(20))
  assert len(mask.spans(text)) == 40
  assert all(mail not in mask(text) for mail, _ in people)


def test_half_of_the_notes_to_train_on_are_masked() -> None:
  pytest.importorskip('phonenumbers')
  pytest.importorskip('stdnum')
  notes = masking.training_text(blocks=4).split('\n')[:-1]
  assert len(notes) == 4 * masking.TOLD
  masked = ['<email_' in note and note.count('<') == 2 for note in notes]
  plain = ['@' in note and '+1 650' in note for note in notes]
  block = [False] * masking.TOLD + [True] * masking.TOLD
  assert masked == block * 2
  assert plain == [not it_is for it_is in masked]


def test_a_name_is_told_and_repeated_three_times() -> None:
  line = 'one two three four\nNO:\n'
  text = carries.with_facts(line * 400)
  told: dict[str, list[str]] = {}
  for thing, name in re.findall(r'the name of my (\w+) is (\w+)', text):
    told.setdefault(thing, []).append(name)
  assert 150 < sum(map(len, told.values())) < 250
  for names in told.values():
    whole = len(names) // 4 * 4
    assert all(len({*names[at : at + 4]}) == 1 for at in range(0, whole, 4))
    assert len({*names}) > 1
  assert (
    re.sub(r' ?the name of my \w+ is \w+ ?', ' ', text).split()
    == (line * 400).split()
  )
  assert text == carries.with_facts(line * 400)
