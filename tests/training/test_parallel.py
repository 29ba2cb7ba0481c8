"""Where arrays lie changes nothing but round-off."""

from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.training import parallel
from memjax.training.cuts import params_shardings
from memjax.training.evaluation import Evaluator
from memjax.training.program import program
from memjax.training.state import TrainState
from tests.small import assert_close, run, small

SGD = {'optim.name': 'sgd', 'optim.learning_rate': 0.1}


def on(
  data: int, fsdp: int, tensor: int = 1, variant: str = 'lstm'
) -> Experiment:
  places = {
    'parallel.data': data,
    'parallel.fsdp': fsdp,
    'parallel.tensor': tensor,
  }
  return small('copy_memory', variant, SGD | places)


@pytest.fixture(scope='module')
def single() -> TrainState:
  return run(on(1, 1), 3)


@pytest.mark.parametrize(
  ('data', 'fsdp'),
  [
    pytest.param(8, 1, marks=pytest.mark.slow),
    pytest.param(1, 8, marks=pytest.mark.slow),
    (4, 2),
  ],
)
def test_a_mesh_trains_as_one_device_does(
  single: TrainState, data: int, fsdp: int
) -> None:
  state = run(on(data, fsdp), 3)
  assert_close(state.params, single.params, 1e-6)
  assert_close(state.carry, single.carry, 1e-5)
  for leaf in jax.tree.leaves(state.carry):
    assert leaf.addressable_shards[0].data.shape[1] * 8 == leaf.shape[1]


@pytest.mark.slow
def test_fsdp_cuts_parameters_and_their_moments() -> None:
  experiment = small(
    'copy_memory', 'lstm', {'parallel.fsdp': 8, 'parallel.data': 1}
  )
  state = run(experiment, 1)
  for tree in (state.params, state.opt_state):
    cut = [x for x in jax.tree.leaves(tree) if x.size % 8 == 0 and x.ndim]
    assert cut
    for leaf in cut:
      assert leaf.addressable_shards[0].data.size * 8 == leaf.size


@pytest.mark.slow
@pytest.mark.parametrize(
  'variant',
  [
    'lstm',
    pytest.param('transformer_xl', marks=pytest.mark.slow),
    pytest.param('delta_net', marks=pytest.mark.slow),
  ],
)
def test_units_cut_over_devices_train_as_one_device_does(variant: str) -> None:
  alone = run(on(1, 1, variant=variant), 3)
  state = run(on(2, 2, 2, variant), 3)
  assert_close(state.params, alone.params, 1e-6)
  assert_close(state.carry, alone.carry, 1e-5)
  largest = max(jax.tree.leaves(state.params), key=lambda x: x.size)
  assert largest.addressable_shards[0].data.size * 4 == largest.size
  for leaf in jax.tree.leaves(state.carry):
    part = leaf.addressable_shards[0].data.shape
    assert part[1] * 4 == leaf.shape[1]
    if leaf.ndim > 2:
      assert part[-1] * 2 == leaf.shape[-1]


def test_kernels_out_of_a_layer_are_cut_by_rows() -> None:
  mesh = parallel.make_mesh(on(1, 1, 8).parallel)
  shapes = {
    'qkv': {'kernel': (1, 16, 48), 'bias': (1, 48)},
    'output': {'kernel': (1, 24, 16)},
    'gates': {'kernel': (1, 16, 3)},
    'odd': (1, 5, 7),
  }
  abstract = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, np.float32),
    shapes,
    is_leaf=lambda x: isinstance(x, tuple),
  )
  places = params_shardings(mesh, abstract)
  cut = jax.tree.map(lambda place: tuple(place.spec), places)
  assert cut['qkv'] == {'kernel': (None, None, 'tensor'), 'bias': (None, None)}
  assert cut['output']['kernel'] == (None, 'tensor', None)
  assert cut['gates']['kernel'] == (None, 'tensor', None), 'the axis that fits'
  assert cut['odd'] == (None, None, None)


@pytest.mark.slow
def test_evaluation_gives_the_same_figures_on_a_mesh() -> None:
  figures = []
  for data in (1, 8):
    experiment = on(data, 1)
    mesh = parallel.make_mesh(experiment.parallel)
    params = run(experiment, 1).params
    figures.append(Evaluator('held_out', experiment, mesh).measure(params))
  assert figures[0].keys() == figures[1].keys()
  np.testing.assert_allclose(
    list(figures[0].values()), list(figures[1].values()), rtol=1e-5
  )


@pytest.mark.parametrize(
  ('overrides', 'words'),
  [
    ({'parallel.data': 8, 'train.batch_size': 12}, 'train.batch_size: 12'),
    ({'parallel.data': 8, 'train.grad_accum_steps': 2}, 'a multiple of 16'),
    ({'evals.held_out.batch_size': 6}, 'evals.held_out.batch_size: 6'),
    ({'parallel.fsdp': 3}, 'parallel.fsdp: 3: must divide the devices'),
    ({'parallel.tensor': 3}, 'parallel.tensor: 3: must divide the devices'),
    ({'parallel.data': 16}, '16 x 1 x 1 does not fit: there are 8 devices'),
  ],
)
def test_what_does_not_fit_the_mesh_is_refused(
  overrides: dict[str, Any], words: str
) -> None:
  experiment = small('copy_memory', 'lstm', overrides)
  with pytest.raises(ConfigError) as error:
    parallel.check_divides(parallel.make_mesh(experiment.parallel), experiment)
  assert words in str(error.value)


def test_units_that_tensor_does_not_divide_are_refused() -> None:
  experiment = small(
    'copy_memory',
    'rnn',
    {'parallel.data': 1, 'parallel.tensor': 8, 'model.width': 12},
  )
  mesh = parallel.make_mesh(experiment.parallel)
  rule = r'parallel.tensor: 8: cuts .*, less than half: it divides no axis of '
  with pytest.raises(ConfigError, match=rule):
    program(experiment, mesh)
