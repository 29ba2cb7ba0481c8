"""Learning-rate schedules: the rate after the warm-up, by its own step count.

A schedule of this file is a function that returns the rate as a function of
the step. Its parameters are filled by name: `learning_rate` is the peak,
`steps` the number of steps after the warm-up, `warmup_steps` and
`final_lr_ratio` are the settings of `optim`. Whatever else it takes comes from
`optim.schedule_options`. A user's own schedule is written the same way.
Schedules of optax take the peak as `peak_value`, `init_value` or `value`.
"""

from collections.abc import Callable, Mapping
import inspect
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memjax.config.build import call_with_options
from memjax.config.find import find_function
from memjax.config.sections import Optim
from memjax.errors import ConfigError, require

Rate = float | jax.Array  # a tracer where it differs between replicas
Overrides = Mapping[str, Any]
NO_OVERRIDES: Overrides = MappingProxyType({})
PEAK = ('learning_rate', 'peak_value', 'init_value', 'value')


def constant(learning_rate: Rate) -> optax.Schedule:
  """The peak."""
  return optax.constant_schedule(learning_rate)


def linear(
  learning_rate: Rate, steps: int, final_lr_ratio: float
) -> optax.Schedule:
  """A line from the peak to `final_lr_ratio` of it."""
  final = learning_rate * final_lr_ratio
  return optax.linear_schedule(learning_rate, final, steps)


def cosine(
  learning_rate: Rate, steps: int, final_lr_ratio: float
) -> optax.Schedule:
  """Half a period of a cosine, from the peak to `final_lr_ratio` of it."""
  return optax.cosine_decay_schedule(learning_rate, steps, final_lr_ratio)


def halving(learning_rate: Rate, halve_every: int) -> optax.Schedule:
  """The rate is halved again and again.

  Args:
    learning_rate: the peak.
    halve_every: steps between two halvings.
  """
  rule = 'must be at least 1'
  require(halve_every >= 1, 'halve_every', halve_every, rule)
  return optax.exponential_decay(
    learning_rate, halve_every, 0.5, staircase=True
  )


def inverse_sqrt(learning_rate: Rate, warmup_steps: int) -> optax.Schedule:
  """peak * sqrt(W / (W + step)), where W is the number of warm-up steps."""
  if not warmup_steps:
    rule = 'needs optim.warmup_steps of at least 1'
    raise ConfigError('optim.schedule', 'inverse_sqrt', rule)
  return lambda step: (
    learning_rate * jnp.sqrt(warmup_steps / (warmup_steps + step))
  )


OURS = (constant, linear, cosine, halving, inverse_sqrt)


def make_schedule(
  optim: Optim, steps: int, overrides: Overrides = NO_OVERRIDES
) -> optax.Schedule:
  """The rate by step: a linear warm-up from 0, then `optim.schedule`.

  Args:
    optim: the section of the config.
    steps: the number of steps of the run.
    overrides: {field: value} instead of values of the section.

  Raises:
    ConfigError: there is no such schedule, or an option does not fit it.
  """
  learning_rate = overrides.get('learning_rate', optim.learning_rate)
  warmup_steps = optim.warmup_steps
  require(
    warmup_steps <= steps,
    'optim.warmup_steps',
    warmup_steps,
    f'exceeds train.steps {steps}',
  )
  function = find_function(optim.schedule, known_schedules(), 'optim.schedule')
  takes = inspect.signature(function).parameters
  peak = next((name for name in PEAK if name in takes), '')
  rule = f'takes no peak: none of {", ".join(PEAK)} is a parameter'
  require(bool(peak), 'optim.schedule', optim.schedule, rule)
  provided: Mapping[str, Any] = {
    peak: learning_rate,
    'steps': max(steps - warmup_steps, 1),
    'final_lr_ratio': optim.final_lr_ratio,
  }
  if peak == 'learning_rate':  # optax's schedules warm up on their own
    provided = {**provided, 'warmup_steps': warmup_steps}
  options = {
    option: overrides.get(f'schedule_options.{option}', value)
    for option, value in optim.schedule_options.items()
  }
  after = call_with_options(
    function, provided, options, 'optim.schedule_options'
  )
  if not warmup_steps:
    return after
  rise = optax.linear_schedule(0.0, learning_rate, warmup_steps)
  return optax.join_schedules([rise, after], [warmup_steps])


def rates_of_steps(
  optim: Optim, steps: int, of: np.ndarray, overrides_N: Overrides
) -> np.ndarray:
  """The learning rate of each of these steps, the first step being 1.

  Args:
    optim: the section of the config.
    steps: the number of steps of the run.
    of: `(E,)` int, the steps.
    overrides_N: the floats that differ between replicas, `(N,)` each.

  Returns:
    `(E,)`, and `(N, E)` if replicas have overrides.
  """

  def rates(overrides: Overrides) -> jax.Array:
    schedule = make_schedule(optim, steps, overrides)
    return jax.vmap(lambda step: jnp.asarray(schedule(step)))(of - 1)

  return np.asarray(
    jax.jit(jax.vmap(rates) if overrides_N else rates)(overrides_N)
  )


def known_schedules() -> dict[str, Callable[..., optax.Schedule]]:
  """Ours, and those of optax that take a peak."""
  return {
    name: function
    for name, function in vars(optax.schedules).items()
    if inspect.isfunction(function)
    and not {*PEAK}.isdisjoint(inspect.signature(function).parameters)
  } | {function.__name__: function for function in OURS}
