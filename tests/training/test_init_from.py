"""A run may begin with another's parameters, and with nothing else of it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.runs.snapshot import Snapshot
from memjax.training import parallel
from memjax.training.init_from import initial_state
from memjax.training.loop import train
from memjax.training.program import program
from tests.small import small


@pytest.mark.slow
@pytest.mark.parametrize(
  'replicas', [1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_parameters_are_inherited_and_nothing_else(
  tmp_path: Path, replicas: int
) -> None:
  overrides = {'parallel.data': 1, 'train.replicas': replicas, 'optim.ema': 0.5}
  first = small('copy_memory', 'lstm', overrides)
  assert train(first, tmp_path, lambda *run: None)
  run = program(first, parallel.make_mesh(first.parallel))
  fresh, state = run.initial_state(), initial_state(run, str(tmp_path))
  saved = Snapshot(tmp_path).read('params')
  jax.tree.map(np.testing.assert_array_equal, state.params, saved)
  jax.tree.map(np.testing.assert_array_equal, state.ema, state.params)
  jax.tree.map(assert_differ, state.params['readout'], fresh.params['readout'])
  for field in ('step', 'carry', 'opt_state', 'sums'):
    one, other = getattr(state, field), getattr(fresh, field)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
@pytest.mark.parametrize('replicas', [1, 2])
def test_an_optimiser_that_begins_with_the_parameters_has_these(
  tmp_path: Path, replicas: int
) -> None:
  overrides = {'parallel.data': 1, 'train.replicas': replicas}
  first = small('copy_memory', 'lstm', overrides)
  assert train(first, tmp_path, lambda *run: None)
  after = small(
    'copy_memory', 'lstm', overrides | {'optim.name': 'contrib.dowg'}
  )
  run = program(after, parallel.make_mesh(after.parallel))
  state = initial_state(run, str(tmp_path))
  parts = jax.tree.leaves(state.opt_state, is_leaf=begins_with_parameters)
  (part,) = filter(begins_with_parameters, parts)
  jax.tree.map(np.testing.assert_array_equal, part.init_params, state.params)


def begins_with_parameters(part: Any) -> bool:
  return hasattr(part, 'init_params')


def assert_differ(one: jax.Array, other: jax.Array) -> None:
  assert np.abs(np.asarray(one) - np.asarray(other)).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
  ('changes', 'rule'),
  [
    ({'model.width': 8}, 'made by another model'),
    ({'train.replicas': 3}, 'made by another model or another config'),
  ],
)
def test_what_does_not_fit_is_refused(
  tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
  places = {'parallel.data': 1, 'train.replicas': 2}
  assert train(small('adding', 'lstm', places), tmp_path, lambda *run: None)
  other = small('adding', 'lstm', places | changes)
  run = program(other, parallel.make_mesh(other.parallel))
  with pytest.raises(ConfigError, match=rule) as caught:
    initial_state(run, str(tmp_path))
  assert caught.value.field == 'train.init_from'
  with pytest.raises(ConfigError, match='has no undamaged step'):
    initial_state(run, str(tmp_path / 'nothing'))
