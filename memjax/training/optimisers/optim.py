"""The optimiser: clip, any optimiser under a schedule, decay, groups.

`optim.name` is a path in optax, such as `adamw` or `contrib.muon`, or the full
path of a user's own function. It is called as `function(learning_rate=schedule,
**options)` and returns an `optax.GradientTransformation`. Its update may ask
for the loss of the batch, as `value`.

Floats of the section may be overridden by those of one replica, which are
tracers: also `options.NAME`, `schedule_options.NAME` and `groups.NAME.FIELD`.
"""

from collections.abc import Callable
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from memjax.config.build import call_with_options
from memjax.config.find import find_function
from memjax.config.sections import Optim
from memjax.errors import ConfigError, require
from memjax.training.optimisers.parameter_groups import (
  DEFAULT,
  ParameterGroup,
  group_labels,
  parameter_groups,
)
from memjax.training.optimisers.schedules import (
  NO_OVERRIDES,
  Overrides,
  make_schedule,
)
from memjax.types import Params

# They divide by the sum of their rates, and a warm-up begins at a rate of 0.
DIVIDES_BY_RATES = (contrib.dadapt_adamw, contrib.prodigy)
LEAST_RATE = 1e-8  # of these, whose peak is 1 by default
# Options that are decay rates of averages, under the names that optax uses.
DECAYS = {'b1', 'b2', 'decay', 'decay_rate', 'momentum'}


def optimiser(
  optim: Optim, steps: int, overrides: Overrides = NO_OVERRIDES
) -> optax.GradientTransformationExtraArgs:
  """The transformation that a config's optim section describes.

  Weight decay is decoupled and leaves arrays of fewer than two axes (biases,
  norms) alone. An optimiser that takes `weight_decay` and `mask` applies it
  itself. After any other, a step of `-learning_rate * weight_decay *
  parameters` is added, and its own decay, if it has one, is 0.

  Args:
    optim: the section.
    steps: the number of steps of the run.
    overrides: {field: value} instead of values of the section.

  Raises:
    ConfigError: a name, an option or a group does not fit. Groups that match
      no parameter are refused when the state is initialised.
  """
  groups = parameter_groups(optim)
  clip = []
  if optim.clip_norm:
    clip_norm = overrides.get('clip_norm', optim.clip_norm)
    clip.append(optax.clip_by_global_norm(clip_norm))
  default = _descent(optim, steps, overrides, DEFAULT, None)
  if groups:
    transforms = {
      name: optax.set_to_zero()
      if group.frozen
      else _descent(optim, steps, overrides, name, group)
      for name, group in groups.items()
    }
    default = optax.partition(
      {DEFAULT: default, **transforms},
      lambda params: group_labels(params, groups),
    )
  return optax.with_extra_args_support(optax.chain(*clip, default))


def check_step(
  optim: Optim, steps: int, params: Params, overrides_N: Overrides
) -> None:
  """Requires the optimiser to take a step on these parameters.

  Nothing is computed. An optimiser is refused if its update needs more than
  the gradient, the parameters and the loss.

  Args:
    optim: the section.
    steps: the number of steps of the run.
    params: shapes and types of one replica's parameters.
    overrides_N: the floats that differ between replicas, `(N,)` each.

  Raises:
    ConfigError: says in one line what is missing.
  """

  def step(params: Params, overrides: Overrides) -> Any:
    transformation = optimiser(optim, steps, overrides)
    state = transformation.init(params)
    loss = jnp.zeros(())
    return transformation.update(params, state, params, value=loss)[1]

  overrides = {
    name: jax.ShapeDtypeStruct((), values.dtype)
    for name, values in overrides_N.items()
  }
  try:
    state = jax.eval_shape(step, params, overrides)
  except ConfigError:
    raise
  except Exception as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    rule = f'cannot take a step: {reason}'
    raise ConfigError('optim.name', optim.name, rule) from error
  averages = contrib.ScheduleFreeState
  leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, averages))
  require(
    not any(isinstance(leaf, averages) for leaf in leaves),
    'optim.name',
    optim.name,
    'is evaluated at other parameters than it trains: not supported',
  )


def average(ema: Params, params: Params, decay: float) -> Params:
  """The moving average after one more step."""
  return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, ema, params)


def known_optimisers() -> dict[str, Callable[..., Any]]:
  """The optimisers of optax by path: those whose first argument is the rate."""
  return {
    f'{prefix}{name}': function
    for prefix, module in (('', optax), ('contrib.', contrib))
    for name, function in vars(module).items()
    if inspect.isfunction(function)
    and next(iter(inspect.signature(function).parameters), '')
    == 'learning_rate'
    and not name.startswith(('scale_', '_'))
  }


def _descent(
  optim: Optim,
  steps: int,
  overrides: Overrides,
  name: str,
  group: ParameterGroup | None,
) -> optax.GradientTransformation:
  """The optimiser of one group, with its rate and decay."""
  weight_decay = overrides.get('weight_decay', optim.weight_decay)
  decays, decayed = bool(optim.weight_decay), _matrices
  rate = make_schedule(optim, steps, overrides)
  if group:
    field = f'groups.{name}.'
    factor = overrides.get(
      f'{field}learning_rate_factor', group.learning_rate_factor
    )
    rate = _scaled(rate, factor)
    if group.weight_decay >= 0:
      decays, decayed = bool(group.weight_decay), _everything
      weight_decay = overrides.get(f'{field}weight_decay', group.weight_decay)
  function = find_function(optim.name, known_optimisers(), 'optim.name')
  if function in DIVIDES_BY_RATES:
    rate = _above_zero(rate)
  takes = inspect.signature(function).parameters
  rule = 'takes no learning_rate'
  require('learning_rate' in takes, 'optim.name', optim.name, rule)
  has_decay = {'weight_decay', 'mask'} <= set(takes)
  provided: dict[str, Any] = {'learning_rate': rate}
  if has_decay:
    provided |= {'weight_decay': weight_decay, 'mask': decayed}
  elif 'weight_decay' in takes:
    provided['weight_decay'] = 0.0
  for option in DECAYS & {*optim.options}:
    value, rule = optim.options[option], 'must be in [0, 1)'
    fits = not isinstance(value, int | float) or 0 <= value < 1
    require(fits, f'optim.options.{option}', value, rule)
  options = {
    option: overrides.get(f'options.{option}', value)
    for option, value in optim.options.items()
  }
  descent = call_with_options(function, provided, options, 'optim.options')
  if decays and not has_decay:
    descent = optax.chain(descent, _decay(rate, weight_decay, decayed))
  return descent


def _scaled(rate: optax.Schedule, factor: float | jax.Array) -> optax.Schedule:
  return lambda step: factor * rate(step)


def _above_zero(rate: optax.Schedule) -> optax.Schedule:
  return lambda step: jnp.maximum(rate(step), LEAST_RATE)


def _matrices(params: Params) -> Params:
  return jax.tree.map(lambda p: p.ndim >= 2, params)


def _everything(params: Params) -> Params:
  return jax.tree.map(lambda p: True, params)


def _decay(
  rate: optax.Schedule,
  weight_decay: float | jax.Array,
  decayed: Callable[[Params], Params],
) -> optax.GradientTransformation:
  """Adds -rate * weight_decay * parameters to updates that are final."""

  def init(params: Params) -> optax.ScaleByScheduleState:
    del params
    return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

  def update(updates, state, params=None):
    amount = rate(state.count) * weight_decay
    updates = jax.tree.map(
      lambda u, p, decays: u - amount * p if decays else u,
      updates,
      params,
      decayed(params),
    )
    return updates, optax.ScaleByScheduleState(state.count + 1)

  return optax.GradientTransformation(init, update)
