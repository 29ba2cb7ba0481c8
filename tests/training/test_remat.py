"""What is computed again changes memory, and neither loss nor gradient."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.catalogue import fields, section_fields
from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.models.stack import Stack
from memjax.tasks.base import Stream
from memjax.training.optimisers.optim import optimiser
from memjax.training.step import gradient, initial_state, read_batch
from memjax.types import Params
from tests.small import small

SIZES = {
  'model.width': 16,
  'model.depth': 2,
  'model.mlp': 4.0,
  'model.wiring': 'pre_norm',
  'model.dropout': 0.1,
  'train.batch_size': 4,
}


def arguments_of(experiment: Experiment) -> tuple[Any, ...]:
  """Frozen part, parameters, carry, batch and noise of the first step."""
  task, train = experiment.task, experiment.train
  transformation = optimiser(experiment.optim, train.steps)
  state = initial_state(experiment, transformation, jax.numpy.uint32(0))
  rows = np.arange(train.batch_size)
  batch = task.batch(task.rows(Stream(0, 0, train.batch_size), 0, rows))
  return state.frozen, state.params, state.carry, batch, jax.random.key(1)


def bytes_kept(experiment: Experiment) -> int:
  """What the forward pass keeps for the backward pass."""
  _, params, *others = arguments_of(experiment)

  def backward(params: Params) -> Any:
    def loss(params: Params) -> jax.Array:
      return read_batch(experiment, params, *others)[1]['loss'].sum

    return jax.vjp(loss, params)[1]

  kept = jax.tree.leaves(jax.eval_shape(backward, params))
  return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


@pytest.mark.parametrize('variant', ['gru', 'transformer'])
@pytest.mark.slow
def test_the_gradient_is_the_same_and_less_is_kept(variant: str) -> None:
  experiments = {
    remat: small('mqar', variant, SIZES | {'train.remat': remat})
    for remat in ('none', 'dots', 'full')
  }
  arguments = arguments_of(experiments['none'])
  want, dots, full = (
    jax.jit(functools.partial(gradient, experiment))(*arguments)
    for experiment in experiments.values()
  )
  for got in (dots, full):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      got,
      want,
    )
  sizes = list(map(bytes_kept, experiments.values()))
  assert sizes[0] > sizes[1] > sizes[2]
  assert sizes[2] < sizes[0] / 2


def test_a_model_without_layers_refuses() -> None:
  model = {'name': 'memn2n.MemN2N', 'width': 8}
  overrides = {'model': model, 'train.remat': 'full'}
  with pytest.raises(ConfigError, match=r'train\.remat.*MemN2N has no layers'):
    small('babi', 'memn2n', overrides)


@pytest.mark.parametrize(
  ('overrides', 'words'),
  [
    ({'train.remat': 'some'}, r'train\.remat.*must be one of none, full, dots'),
    ({'model.remat': 'full'}, r'model\.remat.*is set by train\.remat'),
  ],
)
def test_there_is_one_place_for_it(overrides: dict, words: str) -> None:
  with pytest.raises(ConfigError, match=words):
    small('mqar', 'gru', overrides)


def test_it_is_listed_once() -> None:
  assert 'remat' in {field.name for field in section_fields('train')}
  assert 'remat' not in {field.name for field in fields(Stack)}
