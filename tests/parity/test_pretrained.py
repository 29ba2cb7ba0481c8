"""Models of `transformers` with random weights, read by our layers.

The golden values are made by `golden/make_pretrained.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.base import apply, apply_body
from tests.interop.small_models import FAMILIES, golden, imported

CLOSE = 1e-4


@pytest.mark.parametrize('family', FAMILIES)
def test_logits_are_theirs(family: str) -> None:
  found = golden(family)
  model, params, _ = imported(found.pretrained)
  ids = jnp.asarray(found.ids)
  reset = jnp.zeros(ids.shape, bool)
  read = apply_body if family == 'bert' else apply
  start = model.initial_carry(len(ids))
  _, y = read(model, params, start, ids, reset)
  assert np.abs(found.y).mean() > 0.5
  np.testing.assert_allclose(y, found.y, atol=CLOSE)
  if family == 'bert':
    return
  one = jax.jit(lambda *now: apply(model, params, *now))
  carry, steps = start, []
  for t in range(ids.shape[1]):
    carry, y_t = one(carry, ids[:, t : t + 1], reset[:, t : t + 1])
    steps.append(y_t)
  np.testing.assert_allclose(jnp.concatenate(steps, 1), found.y, atol=CLOSE)
