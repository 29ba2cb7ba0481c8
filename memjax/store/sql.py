"""What engines that speak SQL share."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from memjax.store.engine import Usage
from memjax.store.records import Hits, Where, nothing


class Dialect(NamedTuple):
  """How a database writes conditions.

  Attributes:
    mark: of a value.
    tagged: the row has this tag.
    among: its number is one of these.
    as_list: numbers as the value of `among`.
  """

  mark: str
  tagged: str
  among: str
  as_list: Callable[[Any], Any]

  def restrict(self, where: Where) -> tuple[str, list[Any]]:
    """SQL of a condition, and its values, which are never SQL."""
    values: list[Any] = [where.since]
    sql = f' AND at >= {self.mark}'
    if where.before:
      sql += f' AND at < {self.mark}'
      values.append(where.before)
    for tag in where.tags:
      sql += f' AND {self.tagged}'
      values.append(f' {tag} ')
    if where.seqs is not None:
      sql += f' AND {self.among}'
      values.append(self.as_list([int(seq) for seq in where.seqs]))
    return sql, values


def usage_of(rows: Sequence[Sequence[Any]]) -> Usage:
  """Columns of rows."""
  columns = list(zip(*rows, strict=True)) or [()] * 5
  types = np.int64, np.float64, np.float64, np.int64, np.int64
  return Usage(*map(np.array, columns, types))


def hits_of(
  found: Sequence[Sequence[tuple[int, float]]], count: int, metric: str
) -> Hits:
  """Hits from numbers and distances of each query."""
  hits = nothing(len(found), count)
  for query, rows in enumerate(found):
    for place, (seq, far) in enumerate(rows):
      hits.seq_QK[query, place] = seq
      score = 1 - far if metric == 'cosine' else -(far**2)
      hits.score_QK[query, place] = score
  return hits
