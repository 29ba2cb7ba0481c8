"""Which figures of a row are shown, and which one first.

The headline metric of an experiment is the one that `checkpoint.best` watches.
Without it, it is the first of `ORDER` that the row has. Everything that shows
one figure of a run shows this one: the console, the summary and the report.
"""

from collections.abc import Collection, Mapping
import math
from typing import Any, NamedTuple

ORDER = ('bits_per_byte', 'perplexity_per_word', 'accuracy', 'loss')
SCORES = ('recall', 'accuracy', 'exact_match')  # shares: 1 is perfect
SOLVED = 0.99  # a score from which a replica has solved its task
DIAGNOSTICS = ('gradient_norm',)  # in metrics.jsonl and in plots only
# A figure, and the figure that it equals where a character is a byte.
TWINS = {'bits_per_character': 'bits_per_byte'}


def headline(metrics: Collection[str], best: str = '') -> str:
  """The metric to show first.

  Args:
    metrics: names of the metrics of a row; at least one.
    best: the field `checkpoint.best`, 'SET/METRIC' or empty.
  """
  watched = best.partition('/')[2]
  ordered = (watched, *ORDER, *metrics)
  return next(name for name in ordered if name in metrics)


def shown(metrics: Mapping[str, float], best: str = '') -> list[str]:
  """The metrics that a reader sees: the headline, those of `ORDER`, others.

  Diagnostics are left out. So are bits per character that equal the bits per
  byte.
  """
  first = headline(metrics, best)
  ordered = dict.fromkeys([first, *ORDER, *metrics])
  return [
    name
    for name in ordered
    if name in metrics
    and name not in DIAGNOSTICS
    and not _equal(metrics[name], metrics.get(TWINS.get(name, '')))
  ]


def _equal(value: float, other: float | None) -> bool:
  return other is not None and math.isclose(value, other, rel_tol=1e-6)


class Spread(NamedTuple):
  """A metric over the replicas of a run.

  Attributes:
    least: the smallest figure of a replica that has not diverged.
    most: the largest one.
    solved: number of replicas at `SOLVED` or above; None if the metric is not
      a score.
    finite: number of replicas that have not diverged.
    replicas: number of all replicas.
  """

  least: float
  most: float
  solved: int | None
  finite: int
  replicas: int


def spread(row: Mapping[str, Any], metric: str) -> Spread | None:
  """The spread of a row's metric over its replicas; None with one replica."""
  if 'replicas' not in row:
    return None
  values = row['replicas'][metric]
  finite = [v for v in values if math.isfinite(v)]
  solved = sum(v >= SOLVED for v in finite) if metric in SCORES else None
  least, most = min(finite, default=math.nan), max(finite, default=math.nan)
  return Spread(least, most, solved, len(finite), len(values))


def describe_diverged(diverged: Mapping[str, int]) -> str:
  """'seed 1 diverged at step 40', for each; '' if none has."""
  return ', '.join(
    f'seed {seed} diverged at step {step}' for seed, step in diverged.items()
  )


def describe_seeds(row: Mapping[str, Any]) -> str:
  """'median of 2 of 3 seeds; seed 1 diverged at step 40'; '' if none has."""
  if 'diverged' not in row:
    return ''
  seeds = len(next(iter(row['replicas'].values())))
  left = seeds - len(row['diverged'])
  gone = describe_diverged(row['diverged'])
  return f'median of {left} of {seeds} seeds; {gone}'
