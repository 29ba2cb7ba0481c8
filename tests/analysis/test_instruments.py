"""Instruments of contexts, gradients and losses, on models of the configs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.carry_gradients import carry_gradients
from memjax.analysis.input_gradients import input_gradients
from memjax.analysis.loss_by_context import loss_by_context
from memjax.analysis.recl import relative_effective_context_length
from memjax.analysis.state_ablation import ablate
from tests.small import small

FEW = {'batch_size': 2, 'batches': 1}


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'lstm',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in ('transformer_xl', 'stack_rnn')
    ),
  ],
)
def test_figures_are_finite_and_shaped(name: str) -> None:
  experiment = small('copy_memory', name)
  model, task = experiment.model, experiment.task
  carry = model.initial_carry(1)
  inputs, reset_BT = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3), bool)

  @jax.jit
  @jax.vmap
  def init(key: jax.Array) -> dict:
    return model.init(key, carry, inputs, reset_BT)['params']

  params_N = init(jax.random.split(jax.random.key(0), 2))
  leaves = len(jax.tree.leaves(carry))

  context = loss_by_context(model, params_N, task, [2, 4], **FEW, labels=3)
  assert context.losses.shape == (2, 2, 3)
  recl = relative_effective_context_length({name: context})
  assert recl.lengths[name].shape == (2, 3)
  by_input = input_gradients(model, params_N, task, 4, **FEW, labels=3)
  assert by_input.norm.shape == (2, 4)
  by_leaf = carry_gradients(model, params_N, task, 4, **FEW)
  assert by_leaf.norm.shape == (2, leaves, 4)
  out = ablate(model, params_N, task, **FEW)
  assert out.loss_rise['removed'].shape == (2, 1 + leaves)
  assert (by_input.norm > 0).all()
  figures = [context.loss, context.accuracy, recl.gains[name], out.accuracy]
  figures += [out.loss_rise['removed'], out.loss_rise['shuffled']]
  assert all(np.isfinite(x).all() for x in figures)
  floats = [leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(carry)]
  for figure in (by_leaf.norm.sum(-1), out.loss_rise['noised'][:, 1:]):
    np.testing.assert_array_equal(np.isfinite(figure), [floats, floats])
