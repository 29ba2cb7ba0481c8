"""Relative effective context length: how long a context is of use to a model.

Paper: Dai et al. 2019, section 4.3 and appendix C,
https://arxiv.org/abs/1901.02860.
Definition: l_i(c, t) is the loss of model i of a group on label t, given the
last c inputs, see `context.py`. For a context c and the next longer one c',

    b(c, t)     = min_i l_i(c, t)                      the baseline
    T           = the share r of labels t with the largest b(c, t)
    f_i(c, c')  = mean_(t in T) min(b(c, t), l_i(c', t))
    g_i(c, c')  = (exp f_i(c, c) - exp f_i(c, c')) / exp f_i(c, c)

From the shortest context on, c moves on to c' while g_i(c, c') >= 0.01. The
RECL of model i is where it stops, or, where every step gains, the longest of
the contexts, which then is a lower bound. The paper has r = 0.1, 0.5 and 1 and
steps of 100 words. All must gain over the same baseline, which is why figures
of models of different groups do not compare.

Units: lengths in inputs (tokens, steps); gains as a share of perplexity, so
losses must be in nats.
Deviations: steps may differ in size, though what is demanded of them does not.
Of labels with equal baselines the first are taken; |T| is r times the labels,
rounded, and at least 1.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from memjax.analysis.loss_by_context import LossByContext
from memjax.errors import require


class RECL(NamedTuple):
  """Lengths for R shares of the hardest labels.

  Attributes:
    contexts: `(C,)` int, rising.
    shares: `(R,)`, r.
    lengths: {model: `(N, R)` int}, one of the contexts each.
    gains: {model: `(N, R, C - 1)`}, from each context to the next.
  """

  contexts: np.ndarray
  shares: np.ndarray
  lengths: dict[str, np.ndarray]
  gains: dict[str, np.ndarray]


def relative_effective_context_length(
  group: Mapping[str, LossByContext],
  shares: Sequence[float] = (0.1, 0.5, 1.0),
  threshold: float = 0.01,
) -> RECL:
  """RECL of every replica of every model; all replicas are one group.

  Args:
    group: {model: what `loss_by_context` found}, for the same labels.
    shares: `(R,)`, r, each in (0, 1].
    threshold: the gain below which a longer context is of no use.

  Raises:
    ConfigError: the models were given different contexts or labels, or a share
      is none.
  """
  first = next(iter(group.values()))
  for name, found in group.items():
    same = np.array_equal(found.contexts, first.contexts)
    same = same and np.array_equal(found.labels, first.labels)
    require(same, 'group', name, 'has other contexts or labels than the first')
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
