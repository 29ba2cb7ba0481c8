"""Scores of BM25 and figures of ranks, against others' and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from memjax.data.bm25 import BM25
from memjax.data.ranks import FIGURES, group, rank_figures, ranks

GOLDEN = Path(__file__).parents[1] / 'parity' / 'golden' / 'bm25.json'


def test_scores_are_those_of_bm25s() -> None:
  golden = json.loads(GOLDEN.read_text())
  index = BM25(golden['documents'])
  for query, expected in zip(golden['queries'], golden['scores'], strict=True):
    np.testing.assert_allclose(index.scores(query), expected, rtol=1e-6)


def test_an_index_without_words_finds_nothing() -> None:
  assert BM25(['', '']).scores('a').tolist() == [0, 0]


def test_figures_are_those_of_ranks_by_hand() -> None:
  scores = np.arange(20.0)[::-1].copy()  # document i has rank i + 1
  found = rank_figures(
    [
      (scores, np.array([0])),
      (scores, np.array([2, 1, 15])),
      (scores, np.array([10])),
    ]
  )
  gain = (1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2)
  expected = (1 / 3, (1 + 2 / 3) / 3, 1.5 / 3, (1 + gain) / 3)
  assert found == pytest.approx(dict(zip(FIGURES, expected, strict=True)))


def test_of_equal_scores_wrong_documents_come_first() -> None:
  assert ranks(np.zeros(5), np.array([1, 3])).tolist() == [4, 5]
  assert ranks(np.array([1, 0, 2, 1]), np.array([0])).tolist() == [3]


def test_answers_of_equal_queries_are_grouped() -> None:
  assert group([1, 0, 1, 1], [5, 4, 2, 5]) == {0: [4], 1: [2, 5]}
