"""Models of other programs with random weights, read by our layers.

The golden values are made by `golden/make_pretrained.py` from `transformers`,
and by `golden/make_rwkv7.py` from the package of RWKV's author.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.base import apply, apply_body
from tests.interop.small_models import FAMILIES, golden, imported

CLOSE = 1e-4
FAST = 'llama'


@pytest.mark.parametrize(
  'family',
  [
    pytest.param(family, marks=[] if family == FAST else [pytest.mark.slow])
    for family in FAMILIES
  ],
)
def test_logits_are_theirs(family: str) -> None:
  found = golden(family)
  model, params, _ = imported(found.pretrained)
  ids = jnp.asarray(found.ids)
  reset = jnp.zeros(ids.shape, bool)
  read = apply_body if family == 'bert' else apply
  start = model.initial_carry(len(ids))
  whole = jax.jit(lambda *read_all: read(model, params, *read_all))
  _, y = whole(start, ids, reset)
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
