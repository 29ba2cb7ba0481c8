"""Models of other programs with random weights, read by our layers.

The golden values are made by `golden/make_pretrained.py` from `transformers`,
by `golden/make_rwkv7.py` from the package of RWKV's author, and by
`golden/make_transformer_xl.py` from an older `transformers` and from the
authors' program.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.base import apply, apply_body
from tests.interop.small_models import FAMILIES, GOLDEN, golden, imported

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


@pytest.mark.slow
def test_a_span_that_grows_with_the_segments_is_theirs() -> None:
  found = golden('transfo-xl')
  with np.load(GOLDEN / 'pretrained_transfo-xl.npz') as file:
    wanted, lengths = file['y_grows'], file['lengths']
  assert np.abs(wanted - found.y).max() > 0.1
  config = found.pretrained.config | {'same_length': False}
  model, params, _ = imported(found.pretrained._replace(config=config))
  carry, y = model.initial_carry(len(found.ids)), []
  for piece in jnp.split(jnp.asarray(found.ids), np.cumsum(lengths)[:-1], 1):
    reset = jnp.zeros(piece.shape, bool)
    carry, y_t = apply(model, params, carry, piece, reset)
    y.append(y_t)
  np.testing.assert_allclose(jnp.concatenate(y, 1), wanted, atol=CLOSE)
