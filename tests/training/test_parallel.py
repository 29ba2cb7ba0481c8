"""Where arrays lie changes nothing but round-off."""

from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.state import TrainState
from tests.small import assert_close, run, small

SGD = {'optim.name': 'sgd', 'optim.learning_rate': 0.1}


def on(data: int, fsdp: int, variant: str = 'lstm') -> Experiment:
  places = {'parallel.data': data, 'parallel.fsdp': fsdp}
  return small('copy_memory', variant, SGD | places)


@pytest.fixture(scope='module')
def single() -> TrainState:
  return run(on(1, 1), 3)


@pytest.mark.parametrize(('data', 'fsdp'), [(8, 1), (1, 8), (4, 2)])
def test_a_mesh_trains_as_one_device_does(
  single: TrainState, data: int, fsdp: int
) -> None:
  state = run(on(data, fsdp), 3)
  assert_close(state.params, single.params, 1e-6)
  assert_close(state.carry, single.carry, 1e-5)
  for leaf in jax.tree.leaves(state.carry):
    assert leaf.addressable_shards[0].data.shape[1] * 8 == leaf.shape[1]


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
    ({'parallel.data': 16}, '16 x 1 does not fit: there are 8 devices'),
  ],
)
def test_what_does_not_fit_the_mesh_is_refused(
  overrides: dict[str, Any], words: str
) -> None:
  experiment = small('copy_memory', 'lstm', overrides)
  with pytest.raises(ConfigError) as error:
    parallel.check_divides(parallel.make_mesh(experiment.parallel), experiment)
  assert words in str(error.value)
