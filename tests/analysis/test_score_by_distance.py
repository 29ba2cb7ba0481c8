"""Scores by distance of a memory with a known reach."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.base import Result
from memjax.analysis.score_by_distance import (
  DistanceScores,
  ScoreByDistance,
  bin_edges,
  scores_by_distance,
)
from memjax.errors import ConfigError
from memjax.models.base import Memory
from memjax.tasks.base import GeneratedTask, exact_match
from memjax.tasks.ntm.dynamic_ngrams import DynamicNGrams
from memjax.types import Example, Features, RowKey, Tokens

VOCAB, LENGTH, FARTHEST = 4, 12, 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Echo(GeneratedTask):
  """Asks for the symbol that came a number of steps before the last one."""

  length: int = LENGTH
  score_axis = 'label_distance'
  input_spec = Features(VOCAB + 1)
  output_spec = Tokens(VOCAB)

  def example(self, key: RowKey) -> Example:
    of_symbols, of_distance = jax.random.split(key)
    symbols = jax.random.randint(of_symbols, (LENGTH,), 0, VOCAB, jnp.int32)
    distance = jax.random.randint(of_distance, (), 1, FARTHEST + 1)
    question = jnp.zeros((LENGTH, 1)).at[-1].set(distance.astype(jnp.float32))
    none = jnp.zeros(LENGTH, jnp.int32)
    return Example(
      jnp.concatenate([jax.nn.one_hot(symbols, VOCAB), question], -1),
      none.at[-1].set(symbols[-1 - distance]),
      jnp.zeros(LENGTH).at[-1].set(1.0),
      none.at[-1].set(distance),
    )

  def measure(self, y: Any, batch: Any) -> Any:
    return super().measure(y, batch) | {'exact_match': exact_match(y, batch)}


class DelayLine(Memory):
  """Answers labels up to `reach` steps back, and symbol 0 otherwise."""

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size, FARTHEST, VOCAB))

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    reach = self.param('reach', nn.initializers.constant(3), ())
    symbols = jnp.concatenate([carry, x[..., :VOCAB]], axis=1)
    back_BT = x[..., VOCAB]
    place_BT = FARTHEST + jnp.arange(x.shape[1])[None] - back_BT.astype(int)
    answer = jnp.take_along_axis(symbols, place_BT[..., None], axis=1)
    known = (back_BT <= reach)[..., None]
    return symbols[:, -FARTHEST:], jnp.where(known, 20 * answer, 20 * ZERO)


ZERO = jax.nn.one_hot(0, VOCAB)[None, None]


def test_a_delay_line_is_right_up_to_its_reach() -> None:
  params = {'reach': jnp.array([3.0, 5.0])}
  edges = np.arange(1, FARTHEST + 2)
  found = scores_by_distance(DelayLine(), params, Echo(), edges, batches=8)
  assert found.score_axis == 'label_distance'
  assert found.labels.sum() == 8 * 64
  distance_E = edges[:-1]
  for replica, reach in enumerate((3, 5)):
    for metric in ('accuracy', 'exact_match'):
      right_E = found.metrics[metric][replica]
      np.testing.assert_array_equal(right_E[distance_E <= reach], 1)
      chance, rows = 1 / VOCAB, found.labels[distance_E > reach]
      deviation = np.sqrt(chance * (1 - chance) / rows)
      wrong = np.abs(right_E[distance_E > reach] - chance)
      assert (wrong < 4 * deviation).all()


def test_bins_may_be_wide_or_empty() -> None:
  params = {'reach': jnp.array([3.0])}
  edges = np.array([1, 4, FARTHEST + 1, 100])
  found = scores_by_distance(DelayLine(), params, Echo(), edges, batches=4)
  near, far, none = found.metrics['accuracy'][0]
  assert near == 1
  assert far < 0.5
  assert np.isnan(none)
  assert list(found.labels[2:]) == [0]


def test_few_distances_have_a_bin_each_and_many_share_bins() -> None:
  assert list(bin_edges(Echo())) == [1, 2, 3, 4, 5, 6, 7]
  edges = bin_edges(Echo(), max_bins=3)
  assert (edges[0], edges[-1]) == (1, FARTHEST + 1)
  assert len(edges) == 4
  assert (np.diff(edges) >= 1).all()


def test_a_task_without_a_score_axis_is_refused() -> None:
  with pytest.raises(ConfigError, match='no label distance and no sequence'):
    scores_by_distance(DelayLine(), {}, DynamicNGrams(), np.array([1, 2]))


def test_the_farthest_distance_is_the_last_without_a_worse_one_before() -> None:
  edges, labels = np.array([1, 3, 5, 27]), np.ones(3)
  for accuracy, far in (
    ([1.0, 0.9, 0.95], '26 of 26'),
    ([1.0, 0.8, 1.0], '2 of 26'),
    ([0.5, 1.0, 1.0], 'none of 26'),
  ):
    metrics = {'accuracy': np.array([accuracy])}
    found = DistanceScores('label_distance', edges, metrics, labels, {})
    finding = ScoreByDistance().findings({'a': Result([], {}, found)})['a']
    assert finding.cells == {'farthest distance above 90%': far}
  assert finding.clause == 'it answers at no distance of 1 to 26'
  loss = found._replace(metrics={'loss': np.ones((1, 3))})
  assert ScoreByDistance().findings({'a': Result([], {}, loss)}) == {}


def test_chance_is_in_the_plot_once_for_all_runs() -> None:
  metrics = {'accuracy': np.array([[0.5, 0.5]])}
  found = DistanceScores(
    'label_distance',
    np.array([1, 2, 3]),
    metrics,
    np.ones(2),
    {'accuracy': {'guess': 0.25}, 'loss': {'guess': 1.4}},
  )
  result: Result[DistanceScores] = Result([], {}, found)
  (plot,) = ScoreByDistance().show({'a': result, 'b': result}).plots
  assert plot.alt.count('guess 0.2500') == 1
  assert plot.runs == ['a', 'b']
