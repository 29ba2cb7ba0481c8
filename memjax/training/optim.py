"""The optimiser: clip, any optax optimiser under a schedule, decay.

The learning rate, the decay, the clip and every float option, `options.NAME`,
may be given anew: a number, or what stands for one while a program is traced.
"""

from collections.abc import Callable, Mapping
import inspect
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import optax

from memjax.config.sections import Optim
from memjax.errors import ConfigError, nearest, require
from memjax.types import Params

Anew = Mapping[str, Any]
NOTHING: Anew = MappingProxyType({})


def schedule(optim: Optim, steps: int, anew: Anew = NOTHING) -> optax.Schedule:
  """Learning rate by step: linear warm-up, then the named decline."""
  peak = anew.get('learning_rate', optim.learning_rate)
  warmup_steps = optim.warmup_steps
  require(
    warmup_steps <= steps,
    'optim.warmup_steps',
    warmup_steps,
    f'exceeds steps {steps}',
  )
  rest = max(steps - warmup_steps, 1)
  after = {
    'constant': lambda: optax.constant_schedule(peak),
    'linear': lambda: optax.linear_schedule(
      peak, peak * optim.final_lr_ratio, rest
    ),
    'cosine': lambda: optax.cosine_decay_schedule(
      peak, rest, optim.final_lr_ratio
    ),
    'halving': lambda: optax.exponential_decay(
      peak, optim.halve_every, 0.5, staircase=True
    ),
    'inverse_sqrt': lambda: (
      lambda count: peak * jnp.sqrt(warmup_steps / (warmup_steps + count))
    ),
  }[optim.schedule]()
  rise = optax.linear_schedule(0.0, peak, warmup_steps)
  return (
    optax.join_schedules([rise, after], [warmup_steps])
    if warmup_steps
    else after
  )


def optimiser(
  optim: Optim, steps: int, anew: Anew = NOTHING
) -> optax.GradientTransformation:
  """The chain that a config's optim section describes.

  Weight decay is decoupled and leaves arrays of fewer than two axes (biases,
  norms) alone. An optimiser that has decay of its own receives it; any other
  is followed by a step of `-learning_rate * weight_decay * parameters`.

  Raises:
    ConfigError: the name or an option is not one of optax's.
  """
  make = _find(optim.name)
  takes = inspect.signature(make).parameters
  for option, value in optim.options.items():
    free = set(takes) - {'learning_rate', 'weight_decay', 'mask'}
    if option not in free:
      raise ConfigError(
        f'optim.options.{option}',
        value,
        f'no such option; {nearest(option, free)}',
      )
  rate = schedule(optim, steps, anew)
  weight_decay = anew.get('weight_decay', optim.weight_decay)
  options = {
    name: anew.get(f'options.{name}', value)
    for name, value in optim.options.items()
  }
  chain = []
  if optim.clip_norm:
    chain.append(
      optax.clip_by_global_norm(anew.get('clip_norm', optim.clip_norm))
    )
  if {'weight_decay', 'mask'} <= set(takes):
    decay = {'weight_decay': weight_decay, 'mask': _matrices}
    chain.append(make(rate, **decay, **options))
  else:
    chain.append(make(rate, **options))
    if optim.weight_decay:
      chain.append(_decay(rate, weight_decay))
  return optax.chain(*chain)


def average(ema: Params, params: Params, decay: float) -> Params:
  """The moving average after one more step."""
  return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, ema, params)


def _find(name: str) -> Callable[..., optax.GradientTransformation]:
  known = {
    n: f
    for n, f in vars(optax).items()
    if inspect.isfunction(f)
    and next(iter(inspect.signature(f).parameters), '') == 'learning_rate'
    and not n.startswith('scale_')
  }
  if name not in known:
    raise ConfigError(
      'optim.name', name, f'no such optax optimiser; {nearest(name, known)}'
    )
  return known[name]


def _matrices(params: Params) -> Params:
  return jax.tree.map(lambda p: p.ndim >= 2, params)


def _decay(
  rate: optax.Schedule, weight_decay: float | jax.Array
) -> optax.GradientTransformation:
  """Adds -rate * weight_decay * parameters to updates that are final."""

  def init(params: Params) -> optax.ScaleByScheduleState:
    del params
    return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

  def update(updates, state, params=None):
    amount = rate(state.count) * weight_decay
    updates = jax.tree.map(
      lambda u, p, decayed: u - amount * p if decayed else u,
      updates,
      params,
      _matrices(params),
    )
    return updates, optax.ScaleByScheduleState(state.count + 1)

  return optax.GradientTransformation(init, update)
