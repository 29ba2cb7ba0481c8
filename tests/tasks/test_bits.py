"""Tasks on bits: what they count, by hand and by flipping coins."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.tasks.ntm.associative_recall import AssociativeRecall
from memjax.tasks.ntm.bit_copy import BitCopy
from memjax.tasks.ntm.bits import (
  BitTask,
  during,
  place,
)
from memjax.tasks.ntm.dynamic_ngrams import DynamicNGrams
from memjax.tasks.ntm.priority_sort import PrioritySort
from memjax.tasks.ntm.repeat_copy import RepeatCopy
from memjax.types import Batch, Metric
from tests.tasks.drawn import draw, score

ROWS = 1000
TINY = (
  BitCopy(bits=1, longest=3),
  RepeatCopy(bits=1, longest=2, most=2),
  AssociativeRecall(bits=2, vectors=1, most=3),
  PrioritySort(bits=1, vectors=3, outputs=2),
  DynamicNGrams(order=2, sequence=4),
)
every_task = pytest.mark.parametrize(
  'task', TINY, ids=[type(task).__name__ for task in TINY]
)


def test_bits_by_hand() -> None:
  logit = math.log(3)  # of 3/4
  y = jnp.array([[[9.0], [logit], [-logit]], [[logit], [logit], [0.0]]])
  batch = Batch(
    inputs=None,
    targets=jnp.array([[[0.0], [1.0], [0.0]], [[0.0], [1.0], [0.0]]]),
    loss_weights_BT=jnp.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]),
    reset_BT=None,
  )
  scores = score(BitCopy(bits=1), y, batch)
  bits = 3 * math.log2(4 / 3) + 2
  assert scores == pytest.approx(
    {
      'loss': bits * math.log(2) / 4,
      'bits_wrong': 1 / 2,
      'bits_per_sequence': bits / 2,
      'exact_match': 1 / 2,
    }
  )


def test_a_row_without_labels_does_not_count() -> None:
  batch = Batch(
    inputs=None,
    targets=jnp.ones((3, 2, 4)),
    loss_weights_BT=jnp.array([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]),
    reset_BT=None,
  )
  y = jnp.full((3, 2, 4), -1.0).at[2].set(1.0)
  measured = BitCopy(bits=4).measure(y, batch)
  assert measured['loss'].count == 12
  assert measured['bits_wrong'] == Metric(8, 2)
  assert measured['exact_match'] == Metric(1, 2)


def test_placed_where_it_belongs() -> None:
  x_SF = jnp.array([[1.0], [2.0], [3.0]])
  assert list(during(2, 2, 6)) == [0, 0, 1, 1, 0, 0]
  assert list(place(x_SF, 2, 2, 6)[:, 0]) == [0, 0, 1, 2, 0, 0]
  assert list(place(x_SF, 0, 3, 3)[:, 0]) == [1, 2, 3]


@pytest.mark.fast_cases(1)
@every_task
def test_flipping_coins_scores_chance(task: BitTask) -> None:
  batch, rng = draw(task, ROWS), np.random.default_rng(0)
  predicted = rng.integers(0, 2, np.shape(batch.targets))
  wrong_BTF = predicted != np.asarray(batch.targets)
  wrong_B = (wrong_BTF * np.asarray(batch.loss_weights_BT)[..., None]).sum(
    (1, 2)
  )
  scores = score(task, predicted - 0.5, batch)
  for name, each in (('bits_wrong', wrong_B), ('exact_match', wrong_B == 0)):
    chance = task.baselines[name]['chance']
    deviation = each.std() / math.sqrt(ROWS)
    assert abs(scores[name] - chance) < 4 * deviation, name
  assert scores['exact_match'] > 0


@every_task
def test_saying_a_half_costs_a_bit_each(task: BitTask) -> None:
  batch = draw(task, ROWS)
  bits_B = np.asarray(batch.loss_weights_BT).sum(1) * task.output_spec.size
  scores = score(task, np.zeros(np.shape(batch.targets)), batch)
  assert scores['loss'] == pytest.approx(task.baselines['loss']['chance'])
  chance = task.baselines['bits_per_sequence']['chance']
  assert scores['bits_per_sequence'] == pytest.approx(bits_B.mean())
  deviation = bits_B.std() / math.sqrt(ROWS)
  assert abs(bits_B.mean() - chance) <= 4 * deviation
