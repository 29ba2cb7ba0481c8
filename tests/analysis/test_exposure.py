"""The exposure of a secret, on losses and on a model read the long way."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.exposure import candidate_losses, exposure
from memjax.models.base import apply
from tests.small import small


def test_exposure_is_the_bits_that_the_rank_saves() -> None:
  losses = np.arange(1024.0)
  assert exposure(losses, 0) == 10
  assert exposure(losses, 1) == 9
  assert exposure(losses, 1023) == 0
  nothing = exposure(np.zeros(1024), 7)
  assert math.isclose(nothing, 10 - math.log2(1 + 1023 / 2))


def test_candidates_are_scored_as_whole_rows_are() -> None:
  experiment = small('mqar', 'gru', {'model.width': 8})
  model, carry = experiment.model, experiment.model.initial_carry(1)
  row, none = jnp.array([[3, 1]]), jnp.zeros((1, 2), bool)
  key = jax.random.key(0)
  params = jax.jit(model.init)(key, carry, row, none)['params']
  carry = jax.tree.map(lambda x: x + 0.3, carry)
  candidates = np.array(list(itertools.product([2, 5, 7], repeat=2)))
  found = candidate_losses(
    model, params, carry, row[0], jnp.asarray(candidates)
  )
  read = jax.jit(
    lambda x: apply(model, params, carry, x, jnp.zeros((1, 4), bool))[1]
  )
  for candidate, loss in zip(candidates, found, strict=True):
    y = np.asarray(read(jnp.asarray([[3, 1, *candidate]])), np.float64)[0, 1:3]
    log_p = y - np.log(np.exp(y).sum(-1, keepdims=True))
    expected = -log_p[[0, 1], candidate].sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
