"""Schedules by their closed forms; decay as AdamW's; optax's names."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.sections import Optim
from memjax.errors import ConfigError
from memjax.training import parallel
from memjax.training.optimisers.optim import (
  check_step,
  known_optimisers,
  optimiser,
)
from memjax.training.optimisers.schedules import known_schedules, make_schedule
from memjax.training.program import program
from memjax.training.state import TrainState
from tests.small import assert_close, run, small

PLAIN = Optim(
  name='adamw',
  options={},
  learning_rate=0.1,
  schedule='constant',
  schedule_options={},
  warmup_steps=0,
  final_lr_ratio=0.1,
  weight_decay=0.0,
  clip_norm=0.0,
  row_clip_norm=0.0,
  row_noise=0.0,
  groups={},
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
  rate = make_schedule(having(schedule=name, warmup_steps=10), 110)
  for step, value in values.items():
    assert rate(jnp.asarray(step)) == pytest.approx(value, rel=1e-5), step


def test_halving_is_a_staircase() -> None:
  halving = having(schedule='halving', schedule_options={'halve_every': 25})
  rate = make_schedule(halving, 100)
  for step, value in {0: 0.1, 24: 0.1, 25: 0.05, 74: 0.025, 99: 0.0125}.items():
    assert rate(jnp.asarray(step)) == pytest.approx(value), step


def test_a_schedule_of_optax_is_a_path_with_options() -> None:
  options = {'transition_steps': 10, 'decay_rate': 0.5}
  optim = having(
    schedule='exponential_decay', schedule_options=options, warmup_steps=5
  )
  rate = make_schedule(optim, 100)
  for step, value in {0: 0.0, 5: 0.1, 15: 0.05, 25: 0.025}.items():
    assert rate(jnp.asarray(step)) == pytest.approx(value), step


def test_options_of_a_schedule_may_differ_by_replica() -> None:
  options = {'end_value': 0.3, 'transition_steps': 4}
  optim = having(schedule='linear_schedule', schedule_options=options)
  final_N = jnp.array([0.05, 0.2])
  last_N = jax.vmap(
    lambda end: make_schedule(optim, 9, {'schedule_options.end_value': end})(4)
  )(final_N)
  np.testing.assert_array_equal(last_N, final_N)


def test_every_schedule_of_optax_starts_from_what_it_is_given() -> None:
  """Each either makes a schedule of numbers or names the option it lacks."""
  for name in known_schedules():
    optim = having(schedule=name, warmup_steps=1)
    try:
      rate = make_schedule(optim, 9)
    except ConfigError as error:
      missing = error.field.startswith('optim.schedule_options.')
      assert missing, error  # noqa: PT017
      continue
    assert np.isfinite(rate(jnp.asarray(3))), name


@pytest.mark.parametrize(
  ('schedule', 'options', 'line'),
  [
    (
      'cosin',
      {},
      "optim.schedule: 'cosin': is not known; did you mean cosine?",
    ),
    ('halving', {}, 'schedule_options.halve_every: .*must be given'),
    ('halving', {'halve_every': 0}, 'halve_every: 0: must be at least 1'),
    ('cosine', {'halve_evry': 3}, 'halve_evry: 3: is not an option'),
    ('exponential_decay', {'decay_rte': 3}, 'did you mean decay_rate'),
    ('inverse_sqrt', {}, 'needs optim.warmup_steps of at least 1'),
    ('my_module.rate', {}, "'my_module.rate': is not known"),
    ('math.sqr', {}, 'is not in math; did you mean sqrt'),
    ('math.sqrt', {}, 'takes no peak'),
  ],
)
def test_a_wrong_schedule_is_refused(
  schedule: str, options: dict[str, Any], line: str
) -> None:
  optim = having(schedule=schedule, schedule_options=options)
  with pytest.raises(ConfigError, match=line) as caught:
    make_schedule(optim, 9)
  assert '\n' not in str(caught.value)


def steps_taken(chain: optax.GradientTransformationExtraArgs) -> dict:
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  state = chain.init(params)
  for i in range(3):
    grads = jax.tree.map(lambda p, i=i: jnp.cos(p * (i + 1)), params)
    updates, state = chain.update(grads, state, params, value=1.0)
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


REQUIRED = {  # options without a default that make sense for any model
  'noisy_sgd': {'seed': 0},
}
OTHER_NEEDS = {
  'lbfgs': 'value_fn',
  'optimistic_adam': 'does not support learning rate schedules',
  'rprop': 'got <class .function.>',  # wants a number, not a schedule
  'sm3': 'bad operand type',  # the same
  'contrib.sophia': 'obj_fn',
  'contrib.dpsgd': 'l2_norm_clip',
  'contrib.schedule_free_adamw': 'is evaluated at other parameters',
  'contrib.schedule_free_sgd': 'is evaluated at other parameters',
}


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('name', known_optimisers())
def test_every_optimiser_of_optax_trains_or_is_refused(name: str) -> None:
  optim = having(
    name=name, options=REQUIRED.get(name, {}), weight_decay=0.1, clip_norm=1.0
  )
  params = {'kernel': jnp.ones((4, 4)), 'bias': jnp.ones(4)}
  if name in OTHER_NEEDS:
    with pytest.raises(ConfigError, match=OTHER_NEEDS[name]) as caught:
      check_step(optim, 9, params, {})
    assert '\n' not in str(caught.value)
    return
  check_step(optim, 9, params, {})
  for first_rate in (optim, dataclasses.replace(optim, warmup_steps=2)):
    after = steps_taken(optimiser(first_rate, 9))
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(after))


MINE = """
import optax

def lion2(learning_rate, b1=0.9, weight_decay=0.5, *, sharpness):
  return optax.lion(learning_rate, b1 * sharpness, weight_decay=weight_decay)

def stairs(learning_rate, steps, height=2.0):
  return lambda step: learning_rate / height ** (step * 4 // steps)
"""


def test_functions_of_the_users_own_are_found(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / 'my_optim.py').write_text(MINE)
  monkeypatch.syspath_prepend(tmp_path)
  optim = having(
    name='my_optim.lion2',
    options={'sharpness': 0.5},
    schedule='my_optim.stairs',
    schedule_options={'height': 4.0},
  )
  rate = make_schedule(optim, 8)
  assert [float(rate(step)) for step in (0, 2, 4)] == [0.1, 0.025, 0.00625]
  mine = steps_taken(optimiser(optim, 8))
  lion = having(name='lion', options={'b1': 0.45}, schedule='my_optim.stairs')
  theirs = optimiser(
    dataclasses.replace(lion, schedule_options={'height': 4.0}), 8
  )
  assert_close(mine, steps_taken(theirs), 0)
  with pytest.raises(ConfigError, match='is not in my_optim; did you mean li'):
    optimiser(dataclasses.replace(optim, name='my_optim.lion3'), 8)
  with pytest.raises(ConfigError, match=r'options.sharpness.*must be given'):
    optimiser(dataclasses.replace(optim, options={}), 8)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    (
      {'name': 'adamv'},
      "optim.name: 'adamv': is not known; did you mean adam",
    ),
    ({'options': {'b2': 5}}, 'optim.options.b2: 5: must be in [0, 1)'),
    ({'options': {'b3': 1.0}}, 'optim.options.b3: 1.0: is not an option'),
    ({'warmup_steps': 10}, 'optim.warmup_steps: 10: exceeds train.steps 9'),
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


def trained(calls: int, groups: dict, **changes: Any) -> TrainState:
  """The state after some calls of an LSTM on the copy task."""
  optim = {f'optim.{name}': value for name, value in changes.items()}
  options = {'parallel.data': 1, 'train.steps': 40, 'optim.groups': groups}
  return run(small('copy_memory', 'lstm', options | optim), calls)


@pytest.mark.slow
def test_frozen_parameters_stay_and_have_no_optimiser_state() -> None:
  frozen = {'lower': {'match': 'encoder/|layer_0/', 'frozen': True}}
  adam = {'name': 'adamw', 'options': {}, 'weight_decay': 0.1}
  before, after = (trained(calls, frozen, **adam) for calls in (0, 20))
  moments = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(after.params):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    first = before.params
    for key in path:
      first = first[key.key]
    stays = name.startswith(('encoder/', 'layer_0/'))
    assert (np.asarray(leaf) == np.asarray(first)).all() == stays, name
    moments += 0 if stays else 2 * leaf.nbytes
  counters = sum(
    leaf.nbytes
    for leaf in jax.tree.leaves(after.opt_state)
    if leaf.ndim == 1 and leaf.dtype == jnp.int32
  )
  held = sum(leaf.nbytes for leaf in jax.tree.leaves(after.opt_state))
  assert held - counters == moments > 0


@pytest.mark.slow
def test_frozen_parameters_count_in_no_norm() -> None:
  """So the gradient's norm and the clip are those of the others."""
  groups = {'all_but_one': {'match': '^(?!readout/bias)', 'frozen': True}}
  sgd = {'name': 'sgd', 'options': {}, 'schedule': 'constant'}
  clipped = {'clip_norm': 1e-3, 'learning_rate': 1.0}
  before, after = (trained(n, groups, **sgd, **clipped) for n in (0, 1))
  change = before.params['readout']['bias'] - after.params['readout']['bias']
  assert np.linalg.norm(change) == pytest.approx(1e-3, rel=1e-3)
  everything = trained(1, {}, **sgd, **clipped)
  norms = [s.sums.metrics['gradient_norm'].sum for s in (after, everything)]
  assert norms[0] < norms[1]


def test_factors_and_decay_are_those_of_the_first_group_that_matches() -> None:
  params = {
    'encoder': {'kernel': jnp.full((2, 2), 3.0), 'bias': jnp.full(2, 5.0)},
    'readout': {'kernel': jnp.full((2, 2), 7.0), 'bias': jnp.full(2, 11.0)},
  }
  groups = {
    'a': {'match': 'encoder/bias', 'weight_decay': 0.25},
    'b': {'match': '^encoder', 'learning_rate_factor': 0.5},
  }
  optim = having(
    name='sgd', learning_rate=0.5, weight_decay=0.125, groups=groups
  )
  transformation = optimiser(optim, 9)
  grads = jax.tree.map(jnp.ones_like, params)
  updates, _ = transformation.update(grads, transformation.init(params), params)
  expected = {
    'encoder': {
      'kernel': -0.5 * 0.5 * (1 + 0.125 * 3),
      'bias': -0.5 * (1 + 0.25 * 5),
    },
    'readout': {'kernel': -0.5 * (1 + 0.125 * 7), 'bias': -0.5},
  }
  jax.tree.map(
    lambda update, value: np.testing.assert_array_equal(update, value),
    updates,
    expected,
  )


@pytest.mark.parametrize(
  ('group', 'line'),
  [
    (
      {'match': 'decoder/'},
      "groups.g.match: 'decoder/': matches no parameter; some are encoder/",
    ),
    ({'match': '['}, r"groups.g.match: '\[': is not a regular expression"),
    ({}, "groups.g.match: '': must be given"),
    ({'match': 'a', 'lr_factor': 1.0}, 'lr_factor: 1.0: no such field; did'),
    ({'match': 'a', 'learning_rate_factor': 0.0}, 'must be above 0; frozen'),
    ({'match': 'a', 'frozen': True, 'weight_decay': 0.1}, 'leaves no use'),
    ({'match': 'a', 'frozen': 1}, 'frozen: 1: must be of type bool'),
  ],
)
def test_a_wrong_group_is_refused_before_anything_runs(
  group: dict[str, Any], line: str
) -> None:
  experiment = small('copy_memory', 'lstm', {'optim.groups': {'g': group}})
  mesh = parallel.make_mesh(experiment.parallel)
  with pytest.raises(ConfigError, match=line) as caught:
    program(experiment, mesh)
  assert '\n' not in str(caught.value)


def test_a_group_behind_others_that_take_all_is_refused() -> None:
  groups = {'a': {'match': ''}, 'b': {'match': 'readout', 'frozen': True}}
  with pytest.raises(ConfigError, match='before it in the alphabet'):
    trained(1, groups)


@pytest.mark.slow
def test_replicas_may_differ_in_the_factor_of_a_group() -> None:
  group = {'match': 'readout/', 'learning_rate_factor': 1.0}
  common = {
    'parallel.data': 1,
    'optim.name': 'sgd',
    'optim.options': {},
    'optim.groups': {'g': group},
  }
  both = {
    'train.replicas': 2,
    'optim.per_replica': 'groups.g.learning_rate_factor=0.5,2.0',
  }
  several = run(small('copy_memory', 'lstm', common | both), 2)
  for i, factor in enumerate((0.5, 2.0)):
    own = {'g': group | {'learning_rate_factor': factor}}
    changes = common | {'optim.groups': own, 'seed': i}
    alone = run(small('copy_memory', 'lstm', changes), 2)
    one = jax.tree.map(lambda x, i=i: x[i : i + 1], several.params)
    assert_close(one, alone.params, 1e-6)
