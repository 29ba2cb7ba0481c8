"""Schedules by their closed forms; decay as AdamW's; optax's names."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.sections import Optim
from memjax.errors import ConfigError
from memjax.training.optim import optimiser, schedule

PLAIN = Optim(
  name='adamw',
  options={},
  learning_rate=0.1,
  schedule='constant',
  halve_every=0,
  warmup_steps=0,
  final_lr_ratio=0.1,
  weight_decay=0.0,
  clip_norm=0.0,
  ema=0.0,
  per_replica='',
)


def having(**changes: Any) -> Optim:
  return dataclasses.replace(PLAIN, **changes)


@pytest.mark.parametrize(
  ('name', 'values'),
  [
    ('constant', {0: 0.0, 5: 0.05, 10: 0.1, 110: 0.1}),
    ('linear', {5: 0.05, 10: 0.1, 60: 0.055, 110: 0.01}),
    ('cosine', {5: 0.05, 10: 0.1, 60: 0.055, 110: 0.01}),
    ('inverse_sqrt', {5: 0.05, 10: 0.1, 40: 0.05, 90: 0.1 / 3}),
  ],
)
def test_schedules_pass_through_their_closed_forms(
  name: str, values: dict[int, float]
) -> None:
  rate = schedule(having(schedule=name, warmup_steps=10), 110)
  for step, value in values.items():
    assert rate(jnp.asarray(step)) == pytest.approx(value, rel=1e-5), step


def test_halving_is_a_staircase() -> None:
  rate = schedule(having(schedule='halving', halve_every=25), 100)
  for step, value in {0: 0.1, 24: 0.1, 25: 0.05, 74: 0.025, 99: 0.0125}.items():
    assert rate(jnp.asarray(step)) == pytest.approx(value), step
  with pytest.raises(ConfigError, match='at least 1 with the schedule halving'):
    having(schedule='halving')
  with pytest.raises(ConfigError, match='halve_every: 25'):
    having(halve_every=25)


def steps_taken(chain: optax.GradientTransformation) -> dict:
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  state = chain.init(params)
  for i in range(3):
    grads = jax.tree.map(lambda p, i=i: jnp.cos(p * (i + 1)), params)
    updates, state = chain.update(grads, state, params)
    params = optax.apply_updates(params, updates)
  return params


def test_decay_after_any_optimiser_is_adamws_decay() -> None:
  own = optimiser(having(name='adamw', weight_decay=0.3, warmup_steps=2), 9)
  after = optimiser(having(name='adam', weight_decay=0.3, warmup_steps=2), 9)
  none = optimiser(having(name='adam', warmup_steps=2), 9)
  one, two, three = map(steps_taken, (own, after, none))
  np.testing.assert_allclose(one['kernel'], two['kernel'], rtol=1e-6)
  np.testing.assert_array_equal(two['bias'], three['bias'])
  assert (two['kernel'] < three['kernel'] - 1e-3).all()


def test_clipping_bounds_the_global_norm() -> None:
  chain = optimiser(having(name='sgd', learning_rate=1.0, clip_norm=0.5), 9)
  grads = {'a': jnp.full(4, 10.0)}
  updates, _ = chain.update(grads, chain.init(grads), grads)
  assert optax.tree.norm(updates) == pytest.approx(0.5)


@pytest.mark.parametrize(
  'name', ['sgd', 'rmsprop', 'lion', 'lamb', 'adafactor']
)
def test_optimisers_of_optax_take_a_step(name: str) -> None:
  after = steps_taken(optimiser(having(name=name, weight_decay=0.1), 9))
  assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(after))


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    (
      {'name': 'adamv'},
      "optim.name: 'adamv': no such optax optimiser; did",
    ),
    ({'options': {'b3': 1.0}}, 'optim.options.b3: 1.0: no such option'),
    ({'warmup_steps': 10}, 'optim.warmup_steps: 10: exceeds steps 9'),
  ],
)
def test_a_wrong_optimiser_is_refused(
  changes: dict[str, Any], words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    optimiser(having(**changes), 9)
  assert words in str(error.value)


def test_options_reach_the_optimiser() -> None:
  slow = steps_taken(optimiser(having(options={'b1': 0.99}), 9))
  fast = steps_taken(optimiser(having(options={'b1': 0.1}), 9))
  assert not np.allclose(slow['kernel'], fast['kernel'])
