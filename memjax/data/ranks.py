"""How high an index ranks the documents that answer a query.

With r_1 < r_2 < ... the ranks of the R documents that answer a query, from 1:

    recall_k   the share of them with r_i <= k
    mrr_10     1 / r_1 if r_1 <= 10, else 0
    ndcg_10    sum over r_i <= 10 of 1 / log2(1 + r_i), divided by what ranks
               1, 2, ... R would give

each the mean over queries. Of equal scores, those of wrong documents are ranked
first, so a constant score finds nothing.
"""

from collections.abc import Iterable
import itertools

import numpy as np

RECALLS, DEPTH = (1, 10), 10
FIGURES = (*(f'recall_{k}' for k in RECALLS), f'mrr_{DEPTH}', f'ndcg_{DEPTH}')


def rank_figures(
  scored: Iterable[tuple[np.ndarray, np.ndarray]],
) -> dict[str, float]:
  """The figures of queries.

  Args:
    scored: of each query, the scores `(N,)` of all documents, and the numbers
      of those that answer it.
  """
  sums, queries = np.zeros(len(FIGURES)), 0
  for score_N, right_R in scored:
    sums += _figures(ranks(score_N, right_R))
    queries += 1
  means = sums / max(queries, 1)
  return dict(zip(FIGURES, means.tolist(), strict=True))


def ranks(score_N: np.ndarray, right_R: np.ndarray) -> np.ndarray:
  """The ranks of the right documents, sorted."""
  right_N = np.zeros(len(score_N), bool)
  right_N[right_R] = True
  order_N = np.lexsort((right_N, -score_N))
  return np.flatnonzero(right_N[order_N]) + 1


def _figures(rank_R: np.ndarray) -> np.ndarray:
  """The figures of one query, in the order of FIGURES."""
  recalls = [(rank_R <= k).mean() for k in RECALLS]
  near_R = rank_R[rank_R <= DEPTH]
  first = 1 / near_R[0] if near_R.size else 0.0
  best_R = np.arange(1, min(len(rank_R), DEPTH) + 1)
  gain, best = (1 / np.log2(1 + r) for r in (near_R, best_R))
  return np.array([*recalls, first, gain.sum() / best.sum()])


def group(
  query_P: Iterable[int], document_P: Iterable[int]
) -> dict[int, list[int]]:
  """{query: the documents that answer it}, of P pairs of numbers."""
  pairs = sorted({*zip(query_P, document_P, strict=True)})
  grouped = itertools.groupby(pairs, lambda pair: pair[0])
  return {query: [d for _, d in found] for query, found in grouped}
