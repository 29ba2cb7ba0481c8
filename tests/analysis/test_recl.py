"""RECL of models with a known reach, and word by word as it is defined."""

import itertools

import numpy as np
import pytest

from memjax.analysis.across_runs import SPACE
from memjax.analysis.loss_by_context import ContextLosses
from memjax.analysis.recl import relative_effective_context_length, table
from memjax.errors import ConfigError

NEAREST, FARTHEST, LABELS = 1, 10, 100


def reaching(reach: int, distance: np.ndarray | None = None) -> ContextLosses:
  """Losses of a model that knows the labels up to its reach and its context.

  The loss of an unknown label falls with its distance, so the next label to be
  known is always among the hardest.
  """
  if distance is None:
    distance = np.repeat(np.arange(1, FARTHEST + 1), LABELS // FARTHEST)
  contexts = np.arange(1, FARTHEST + 3)
  known = distance <= np.minimum(contexts, reach)[:, None]
  losses = np.where(known, 0.0, 12.0 - distance)[None]
  mean = losses.mean(-1)
  return ContextLosses(contexts, mean, mean, losses, np.zeros((LABELS, 3), int))


def test_recl_is_the_reach_of_each_model_of_a_group() -> None:
  reaches = (2, 5, 10)
  group = {str(reach): reaching(reach) for reach in reaches}
  found = relative_effective_context_length(group)
  for reach in reaches:
    assert found.lengths[str(reach)].tolist() == [[reach] * 3]
  # A tenth of the labels becomes known, of 10, 9, 8 and 7 nats each.
  known = [*-np.expm1(-np.array([1.0, 0.9, 0.8, 0.7])), 0]
  np.testing.assert_allclose(found.gains['5'][0, 2, :5], known)


def test_recl_ends_at_the_first_step_without_a_gain() -> None:
  distance = np.repeat([1, 2, 3, 5], LABELS // 4)
  found = relative_effective_context_length({'one': reaching(9, distance)})
  assert found.lengths['one'].tolist() == [[3] * 3]
  assert found.gains['one'][0, 2, 3] > 0.5


def test_recl_is_the_longest_context_if_every_step_gains() -> None:
  one, short = (
    whole._replace(contexts=whole.contexts[:4], losses=whole.losses[:, :4])
    for whole in (reaching(10), reaching(3))
  )
  found = relative_effective_context_length({'one': one})
  assert found.lengths['one'].tolist() == [[4] * 3]
  rows = table({'one': one, 'short': short}).rows
  assert [row[1:] for row in rows] == [[f'≥{SPACE}4', '3']] * 3


def test_gains_follow_the_definition_word_by_word() -> None:
  losses = np.random.default_rng(0).gamma(2, size=(3, 4, 50))
  mean = losses.mean(-1)
  found = ContextLosses(np.arange(4), mean, mean, losses, np.zeros((50, 3)))
  shares = (0.1, 0.5, 1.0)
  gains = relative_effective_context_length({'all': found}, shares).gains['all']
  for i, r, c in itertools.product(range(3), range(3), range(3)):
    b = [min(losses[j, c, t] for j in range(3)) for t in range(50)]
    hardest = sorted(range(50), key=b.__getitem__)[-round(50 * shares[r]) :]
    short, long = (
      np.exp(np.mean([min(b[t], losses[i, context, t]) for t in hardest]))
      for context in (c, c + 1)
    )
    assert gains[i, r, c] == pytest.approx((short - long) / short)


def test_models_with_different_labels_are_refused() -> None:
  one = reaching(2)
  other = one._replace(labels=one.labels + 1)
  with pytest.raises(ConfigError, match="'b': has other contexts or labels"):
    relative_effective_context_length({'a': one, 'b': other})
  with pytest.raises(ConfigError, match=r'must be in \(0, 1\]'):
    relative_effective_context_length({'a': one}, shares=[0.0])
