"""The study of the external memory computes what its page says."""

from pathlib import Path
import random

import numpy as np
import pytest

from experiments.external_memory import costs, masking, neighbours
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


def test_personal_data_of_notes_is_found() -> None:
  pytest.importorskip('phonenumbers')
  pytest.importorskip('stdnum')
  rng, mask = random.Random(0), Mask(bytes(32))
  people = masking.crowd(rng)
  text = ''.join(masking.note(rng, people) for _ in range(20))
  assert len(mask.spans(text)) == 40
  assert all(mail not in mask(text) for mail, _ in people)
