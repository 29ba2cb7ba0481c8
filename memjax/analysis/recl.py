"""Relative effective context length: how much context is useful to a model.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from memjax.analysis.across_runs import format_median, run_table
from memjax.analysis.section import Table
from memjax.errors import require

DEFINITION = """
    Relative effective context length (RECL). Paper: Dai et al. 2019, section
    4.3 and appendix C, https://arxiv.org/abs/1901.02860. Let l_i(c, t) be the
    loss of model i of a group. For a context c and the next longer one c',

        b(c, t)     = min_i l_i(c, t)                      the baseline
        T           = the share r of labels t with the largest b(c, t)
        f_i(c, c')  = mean_(t in T) min(b(c, t), l_i(c', t))
        g_i(c, c')  = (exp f_i(c, c) - exp f_i(c, c')) / exp f_i(c, c)

    Starting from the shortest context, c moves on to c' while g_i(c, c') is at
    least 0.01. The RECL of model i is the context at which it stops. If every
    step gains, it is the longest context, which is then a lower bound. The
    paper has r = 0.1, 0.5 and 1 and steps of 100 words. All models of a group
    share one baseline, so figures of different groups cannot be compared.

    Units: lengths in inputs; gains as a share of perplexity, so losses must be
    in nats.

    Deviations: steps between contexts may have different sizes; the threshold
    is the same for all of them. Labels with equal baselines are taken in their
    order. The number of labels in T is r times the number of labels, rounded,
    and at least 1.
    """


class Losses(Protocol):
  """What RECL needs of `loss_by_context.ContextLosses`."""

  @property
  def contexts(self) -> np.ndarray: ...
  @property
  def losses(self) -> np.ndarray: ...
  @property
  def labels(self) -> np.ndarray: ...


class RECL(NamedTuple):
  """Lengths for R shares of the hardest labels.

  Attributes:
    contexts: `(C,)` int, increasing.
    shares: `(R,)`, r.
    lengths: {model: `(N, R)` int}; each is one of the contexts.
    gains: {model: `(N, R, C - 1)`}, from each context to the next.
  """

  contexts: np.ndarray
  shares: np.ndarray
  lengths: dict[str, np.ndarray]
  gains: dict[str, np.ndarray]


def relative_effective_context_length(
  group: Mapping[str, Losses],
  shares: Sequence[float] = (0.1, 0.5, 1.0),
  threshold: float = 0.01,
) -> RECL:
  """RECL of every replica of every model; all replicas form one group.

  Args:
    group: {model: its losses by context}, all for the same labels.
    shares: `(R,)`, r, each in (0, 1].
    threshold: smaller gains do not count.

  Raises:
    ConfigError: the models have different contexts or labels, or a share is
      not in (0, 1].
  """
  first = next(iter(group.values()))
  for name, found in group.items():
    same = np.array_equal(found.contexts, first.contexts)
    same = same and np.array_equal(found.labels, first.labels)
    rule = 'has other contexts or labels than the first run'
    require(same, 'group', name, rule)
  for share in shares:
    require(0 < share <= 1, 'shares', share, 'must be in (0, 1]')
  losses_NCP = np.concatenate([found.losses for found in group.values()])
  gains_NRC = np.stack([_gains(losses_NCP, share) for share in shares], axis=1)
  moves_NR = np.cumprod(gains_NRC >= threshold, axis=-1).sum(-1)
  ends = np.cumsum([len(found.losses) for found in group.values()])[:-1]
  lengths = np.split(first.contexts[moves_NR], ends)
  return RECL(
    first.contexts,
    np.asarray(shares),
    dict(zip(group, lengths, strict=True)),
    dict(zip(group, np.split(gains_NRC, ends), strict=True)),
  )


def table(group: Mapping[str, Losses]) -> Table:
  """The RECL of all runs as one group, a row for each share.

  Raises:
    ConfigError: the runs have different contexts or labels.
  """
  found = relative_effective_context_length(group)
  shares = [f'{share:.0%} hardest labels' for share in found.shares]
  cells = {
    run: {
      share: format_median(length_N, found.contexts[-1])
      for share, length_N in zip(shares, lengths_NR.T, strict=True)
    }
    for run, lengths_NR in found.lengths.items()
  }
  return run_table(cells, 'Relative effective context length, in inputs')


def _gains(losses_NCP: np.ndarray, share: float) -> np.ndarray:
  """g_i of each model from each context to the next, `(N, C - 1)`."""
  baseline_CP = losses_NCP.min(0)
  count = max(1, round(share * baseline_CP.shape[1]))
  gains = []
  for c, baseline_P in enumerate(baseline_CP[:-1]):
    hardest = np.argsort(-baseline_P, kind='stable')[:count]
    base = baseline_P[hardest]
    longer_N = np.minimum(base, losses_NCP[:, c + 1, hardest]).mean(-1)
    gains.append(-np.expm1(longer_N - base.mean()))
  return np.stack(gains, axis=-1)
