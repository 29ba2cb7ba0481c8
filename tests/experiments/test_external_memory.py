"""The study of the external memory computes what its page says."""

from pathlib import Path

import numpy as np
import pytest

from experiments.external_memory import costs, neighbours


def test_costs_are_rows_of_tables(tmp_path: Path) -> None:
  for needed in ('apsw', 'cryptography', 'phonenumbers', 'stdnum'):
    pytest.importorskip(needed)
  head, line, *rows = costs.search_rows(1000)
  assert head.count('|') == line.count('|') == rows[0].count('|')
  assert rows[0].startswith('| 1,000 |')
  safeguards = list(costs.safeguard_rows(tmp_path))[2:]
  assert len(safeguards) == 7
  assert all(float(row.split('|')[2]) > 0 for row in safeguards)


def test_the_share_of_the_word_that_came() -> None:
  score = np.array([[0.9, 0.9 - 0.05 * np.log(2), 0.9 - 0.05 * np.log(4)]])
  token = np.array([[3, 5, 3]])
  share = neighbours.share_of_target(score, token, np.array([3]))
  np.testing.assert_allclose(share, [(1 + 0.25) / 1.75])
