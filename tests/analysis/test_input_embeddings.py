"""A row of its own for each token leaves the outputs as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.input_embeddings import embed_inputs
from memjax.models.base import Memory, apply
from memjax.models.networks.memn2n import MemN2N
from memjax.models.stack import Stack
from memjax.types import Sentences, Spec, Tokens
from tests.analysis.known import LeakyIntegrator

QUESTION = 3
TOKENS, SENTENCES = Tokens(5), Sentences(7, 3, QUESTION)
STACKED = LeakyIntegrator(4)
ROWS, STEPS = 2, 6


@pytest.mark.slow
@pytest.mark.parametrize(
  ('model', 'spec', 'tables'),
  [
    (Stack(SENTENCES, TOKENS, 4, STACKED), SENTENCES, ['embedding']),
    (
      MemN2N(TOKENS, TOKENS, width=4, slots=4, hops=2),
      TOKENS,
      ['embedding_0', 'embedding_1'],  # the third says the answers too
    ),
    (
      MemN2N(SENTENCES, Tokens(3), width=4, slots=4, hops=1),
      SENTENCES,
      ['embedding_0', 'embedding_1'],
    ),
  ],
)
def test_the_gradients_of_a_token_sum_to_that_of_its_row(
  model: Memory, spec: Spec, tables: list[str]
) -> None:
  rng = np.random.default_rng(0)
  shape = (ROWS, STEPS, *spec.shape)
  inputs = jnp.asarray(rng.integers(0, spec.size, shape, np.int32))
  reset_BT = jnp.zeros((ROWS, STEPS), bool)
  carry = model.initial_carry(ROWS)
  weights = jnp.asarray(
    rng.normal(size=(ROWS, STEPS, model.output_spec.size)), jnp.float32
  )

  @jax.jit
  def both(key: jax.Array) -> tuple:
    params = model.init(key, carry, inputs, reset_BT)['params']
    e, answer = embed_inputs(model, spec, params, inputs, reset_BT)

    def loss_of_params(params: object) -> tuple[jax.Array, jax.Array]:
      _, y = apply(model, params, carry, inputs, reset_BT)
      return (y * weights).sum(), y

    def loss_of_inputs(e: object) -> tuple[jax.Array, jax.Array]:
      return (answer(e) * weights).sum(), answer(e)

    return (
      jax.grad(loss_of_params, has_aux=True)(params),
      jax.grad(loss_of_inputs, has_aux=True)(e),
    )

  (by_params, y), (by_input, same) = both(jax.random.key(0))
  np.testing.assert_allclose(same, y, rtol=1e-5, atol=1e-6)
  by_param, _ = jax.tree_util.tree_flatten_with_path(by_params)
  kept = np.flatnonzero(spec.reserved(jnp.arange(spec.size)))
  seen = []
  for i, by_row in by_input.items():
    path, by_table = by_param[i]
    seen.append(path[-1].key)
    if seen[-1] in tables:
      for token in set(range(spec.size)) - set(kept.tolist()):
        total = by_row[np.asarray(inputs) == token].sum(0)
        np.testing.assert_allclose(total, by_table[token], rtol=1e-4, atol=1e-6)
    assert by_row.shape[: inputs.ndim] == inputs.shape
  assert set(tables) <= set(seen)
