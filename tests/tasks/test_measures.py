"""Measures that several tasks share."""

import jax.numpy as jnp
import numpy as np

from memjax.tasks.base import predicts


def test_the_first_of_equal_logits_is_the_prediction() -> None:
  """Quarters from 0 to 1 tie often; NaN is never a prediction of a target."""
  rng = np.random.default_rng(0)
  logits = rng.integers(0, 4, (5, 200, 4)) / 4
  logits[0] = 0.0
  targets = rng.integers(0, 4, (5, 200))
  found = predicts(jnp.float32(logits), jnp.asarray(targets))
  np.testing.assert_array_equal(found, np.argmax(logits, -1) == targets)
  assert not predicts(jnp.full((1, 1, 4), jnp.nan), jnp.zeros((1, 1), int))
