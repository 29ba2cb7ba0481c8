"""DP-SGD clips the gradient of each row, and adds noise of a known size."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.training import step as training_step
from memjax.training.gradients import gradient_by_row
from memjax.training.optimisers.optim import optimiser
from tests.small import run, small

PLACES = {'parallel.data': 1, 'train.batch_size': 4}


def read(experiment: Experiment) -> tuple[Any, ...]:
  """(frozen, parameters, carry, batch, key) of the first step."""
  state = training_step.initial_state(
    experiment, optimiser(experiment.optim, 2), jnp.uint32(0)
  )
  rows = np.arange(experiment.train.batch_size)
  stream = Stream(0, 0, len(rows))
  batch = experiment.task.batch(experiment.task.rows(stream, 0, rows))
  return (), state.params, state.carry, batch, state.key


@pytest.mark.slow
def test_rows_are_clipped_one_by_one_and_the_noise_is_the_papers() -> None:
  clip = 0.05
  experiment = small('mqar', 'gru', PLACES | {'optim.row_clip_norm': clip})
  frozen, params, carry, batch, key = read(experiment)
  whole = jax.jit(functools.partial(training_step.gradient, experiment))
  private = jax.jit(
    functools.partial(gradient_by_row, training_step.gradient, experiment)
  )
  sums, clipped = None, 0
  for row in range(4):
    one = jax.tree.map(lambda x, b=row: x[b : b + 1], (carry, batch))
    grads, _, metrics = whole(frozen, params, *one, key)
    mean = jax.tree.map(lambda g, n=metrics['loss'].count: g / n, grads)
    norm = float(optax.tree.norm(mean))
    clipped += norm > clip
    small_enough = jax.tree.map(lambda g, n=norm: g * min(1, clip / n), mean)
    sums = (
      small_enough
      if sums is None
      else jax.tree.map(jnp.add, sums, small_enough)
    )
  assert clipped == 4
  found, after, metrics = private(frozen, params, carry, batch, key)
  _, after_whole, all_metrics = whole(frozen, params, carry, batch, key)
  count = float(all_metrics['loss'].count)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b * count / 4, rtol=1e-4, atol=1e-8
    ),
    found,
    sums,
  )
  assert metrics['loss'].count == count
  np.testing.assert_allclose(
    metrics['loss'].sum, all_metrics['loss'].sum, rtol=1e-5
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    after,
    after_whole,
  )
  noisy = small(
    'mqar',
    'gru',
    PLACES | {'optim.row_clip_norm': clip, 'optim.row_noise': 3.0},
  )
  with_noise, *_ = jax.jit(
    functools.partial(gradient_by_row, training_step.gradient, noisy)
  )(frozen, params, carry, batch, key)
  noise = np.concatenate(
    [
      np.ravel(a - b) * 4 / count
      for a, b in zip(
        jax.tree.leaves(with_noise), jax.tree.leaves(found), strict=True
      )
    ]
  )
  assert abs(noise.std() / (3 * clip) - 1) < 4 / np.sqrt(2 * noise.size)
  assert abs(noise.mean()) < 4 * 3 * clip / np.sqrt(noise.size)


@pytest.mark.slow
def test_noise_is_new_at_every_step_and_in_every_replica() -> None:
  """Clipped to next to nothing, updates are the noise alone."""
  private = {'optim.row_clip_norm': 1e-6, 'optim.row_noise': 1e6}
  experiment, sgd = small('adding', 'gru', PLACES | private), optax.sgd(1.0)
  begin = functools.partial(training_step.initial_state, experiment, sgd)
  step = jax.jit(
    jax.vmap(training_step.make_step(experiment, sgd), in_axes=(0, None))
  )
  states, batch = [jax.vmap(begin)(jnp.arange(2))], read(experiment)[3]
  for _ in range(2):
    states.append(step(states[-1], batch)[0])
  places_S2P = [
    np.concatenate(
      [np.reshape(x, (2, -1)) for x in jax.tree.leaves(state.params)], axis=1
    )
    for state in states
  ]
  noise = np.concatenate(np.diff(places_S2P, axis=0))
  between = np.corrcoef(noise)[np.triu_indices(4, 1)]
  assert (abs(between) < 5 / np.sqrt(noise.shape[1])).all()


@pytest.mark.slow
def test_a_private_run_of_two_replicas_is_repeatable() -> None:
  changes = {'optim.row_clip_norm': 1.0, 'optim.row_noise': 0.5}
  changes |= {'train.replicas': 2}
  one, other = (run(small('adding', 'gru', PLACES | changes), 2) for _ in 'ab')
  jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'optim.row_noise': 1.0},
      'optim.row_noise: 1.0: needs optim.row_clip_norm above 0',
    ),
    (
      {'optim.row_clip_norm': 1.0, 'train.grad_accum_steps': 2},
      'optim.row_clip_norm: 1.0: must be 0 with several parts or elastic '
      'devices',
    ),
  ],
)
def test_what_cannot_be_private_is_refused(
  changes: dict[str, Any], message: str
) -> None:
  with pytest.raises(ConfigError) as caught:
    small('adding', 'gru', PLACES | changes)
  assert str(caught.value) == message
