"""What it costs memories to lose a state whose content is known."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.segment_boundaries import segment_boundaries
from memjax.analysis.state_ablation import ablate
from memjax.errors import ConfigError
from memjax.tasks.language.text import Text
from tests.analysis.known import (
  SURE,
  DelayLine,
  Idle,
  LeakyIntegrator,
  Noise,
  RepeatToken,
)

VOCAB, LAG, CUT = 4, 3, 10
TASK = RepeatToken(vocab=VOCAB, lag=LAG)
ROWS, BATCHES = 16, 2


def test_a_delay_line_loses_the_labels_that_reach_over_the_boundary() -> None:
  model, params = Idle(VOCAB, LAG), {'line': {'sure': jnp.full(1, SURE)}}
  found = ablate(model, params, TASK, ROWS, BATCHES, cut=CUT)
  assert found.leaves == ('all', '0', '1', '2')
  removed = shuffled = labels = 0
  for carry_N, after in segment_boundaries(
    model, params, TASK, CUT, ROWS, BATCHES, seed=0
  ):
    tokens = np.asarray(carry_N[0][0])
    removed += (tokens != 0).sum()  # the initial value is 0
    shuffled += (tokens != np.roll(tokens, 1, axis=0)).sum()
    labels += after.loss_weights_BT.sum()
  for way, wrong in (('removed', removed), ('shuffled', shuffled)):
    cost = np.array([[wrong, wrong, 0, 0]]) / float(labels)
    np.testing.assert_allclose(found.accuracy_drop[way], cost, atol=1e-6)
    np.testing.assert_allclose(found.loss_rise[way], SURE * cost, rtol=1e-5)
  # Exactly nothing of what is not used; and only floats can be noised.
  for figures in (found.loss_rise, found.accuracy_drop):
    assert (figures['removed'][0, 2:] == 0).all()
    assert (figures['shuffled'][0, 2:] == 0).all()
    np.testing.assert_array_equal(figures['noised'], [[0, np.nan, 0, np.nan]])
  assert found.accuracy.tolist() == [1]


def test_a_leaky_integrator_loses_its_decaying_trace() -> None:
  """Its intact loss is 0, so its loss is that of the ablation."""
  decay, rows = 0.8, 512
  task = Noise(width=2, length=12, decay=decay)
  model, params = LeakyIntegrator(2), {'decay': jnp.array([decay, 0.0])}
  found = ablate(model, params, task, rows, 1)
  (carry_N, after), *_ = segment_boundaries(
    model, params, task, 0, rows, 1, seed=0
  )
  h_BD = np.asarray(carry_N[0], np.float64)
  left = np.mean(decay ** (2 * np.arange(1, after.inputs.shape[1] + 1)))
  moved = np.square(h_BD - np.roll(h_BD, 1, axis=0)).mean()
  expected = {
    'removed': left * np.square(h_BD).mean(),
    'shuffled': left * moved,
    'noised': left * h_BD.var(axis=0).mean(),  # times a mean square of normals
  }
  for way, tolerance in (
    ('removed', 1e-4),
    ('shuffled', 1e-4),
    ('noised', 0.2),
  ):
    all_and_leaf = found.loss_rise[way]
    np.testing.assert_allclose(all_and_leaf[0], expected[way], rtol=tolerance)
    np.testing.assert_array_equal(all_and_leaf[1], 0)  # remembers nothing
  assert np.isnan(found.accuracy_drop['removed']).all()


def test_a_text_is_ablated_at_its_segment_boundaries(tmp_path: Path) -> None:
  path = tmp_path / 'again.txt'
  path.write_text('abcdefg' * 400)
  task = Text(corpus='files', path=str(path), length=8)
  model, params = DelayLine(256, 6), {'sure': jnp.full(1, SURE)}
  found = ablate(model, params, task, 4, 3)
  assert found.leaves == ('all', 'carry')
  fall: Any = found.accuracy_drop['removed']
  np.testing.assert_allclose(fall, 6 / 8)
  assert found.accuracy.tolist() == [1]


def test_one_row_or_no_label_is_refused() -> None:
  model, params = DelayLine(VOCAB, LAG), {'sure': jnp.ones(1)}
  with pytest.raises(ConfigError, match='batch_size: 1: must be at least 2'):
    ablate(model, params, TASK, batch_size=1)
  with pytest.raises(ConfigError, match='no label follows a segment boundary'):
    ablate(model, params, TASK, batches=0)
