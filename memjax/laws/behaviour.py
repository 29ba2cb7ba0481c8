"""The laws of behaviour: what outputs may depend on.

Each is a function of a subject. It raises Broken, or returns a remark.
"""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError
from memjax.laws.broken import (
  Broken,
  named_leaves,
  require_close,
  require_law,
)
from memjax.laws.subject import (
  PIECE,
  ROWS,
  Subject,
  draw,
  some_resets,
)

ACROSS = (
  'a mean, norm, softmax or product over axis 0, or a reshape that mixes batch '
  'and time'
)
AHEAD = (
  'attention, a mean or a norm over time without a mask, or a convolution that '
  'is padded on both sides'
)


def finite(s: Subject) -> str:
  """Outputs and carry are finite."""
  inputs, reset_BT = draw(s.input_spec, s.length)
  carry, y = s.read(s.fresh(), inputs, reset_BT)
  if not np.isfinite(y).all():
    row, step = min(np.argwhere(~np.isfinite(y))[:, :2], key=lambda i: i[1])
    raise Broken(
      f'an output is {"NaN" if np.isnan(y[row, step]).any() else "infinite"}, '
      f'first at row {row}, step {step}',
      'a division by a zero of the first carry, log or sqrt of 0, or a state '
      'that grows',
    )
  for leaf, value in named_leaves(carry):
    require_law(
      bool(jnp.isfinite(value).all()),
      f'{leaf} is not finite after {s.length} steps',
      'a division by zero, or a state that grows',
    )
  return ''


def rows(s: Subject) -> str:
  """Inputs and resets of other rows change nothing in a row."""
  inputs, reset_BT = draw(s.input_spec, s.length)
  others = draw(s.input_spec, s.length, seed=1)[0]
  others[-1] = inputs[-1]
  _, y = s.read(s.fresh(), inputs, reset_BT)
  last = ROWS - 1
  for what, changed, resets in (
    ('Inputs', others, reset_BT),
    ('Resets', inputs, some_resets(s.length)),
  ):
    _, other = s.read(s.fresh(), changed, resets)
    seen = f'{what} of rows 0 to {last - 1} change the outputs of row {last}'
    require_close(
      np.where(np.arange(ROWS)[:, None, None] == last, other, y),
      y,
      seen,
      ACROSS if what == 'Inputs' else 'reset_BT.any() over the rows',
    )
    require_law(
      what == 'Resets' or np.abs(other[0] - y[0]).max() > 1e-3,
      'other inputs give the same outputs',
      'x is not used, or is multiplied by zero',
    )
  return ''


def segments(s: Subject) -> str:
  """A stream read in pieces of any sizes gives the same outputs."""
  length = 2 * s.length
  inputs, no_resets = draw(s.input_spec, length)
  sizes = [PIECE] * 6 + [1] * (length - 6 * PIECE)
  np.random.default_rng(2).shuffle(sizes)
  for reset_BT in (no_resets, some_resets(length)):
    whole = s.read_in([s.length, s.length], inputs, reset_BT)
    require_close(
      s.read_in(sizes, inputs, reset_BT),
      whole,
      f'Pieces of 1 and {PIECE} steps give other outputs than segments of '
      f'{s.length}',
      'something that later steps need is not in the carry, or positions are '
      'counted from the start of the segment',
    )
  return f'pieces of 1 and {PIECE} steps'


def reset(s: Subject) -> str:
  """From a reset on, a row equals one with an initial carry."""
  inputs, none = draw(s.input_spec, 3 * s.length)
  for left in (s.length, PIECE, 1):  # of the segment, from the reset on
    at = 2 * s.length - left
    reset_BT = some_resets(3 * s.length)
    reset_BT[:, at:] = False
    reset_BT[:-1, at] = True
    y = s.read_in([s.length] * 3, inputs, reset_BT)
    fresh = s.read_in([left, s.length], inputs[:, at:], none[:, at:])
    require_close(
      y[:-1, at:],
      fresh[:-1],
      f'A reset before step {at}, step {s.length - left} of its segment, '
      'leaves something behind',
      'reset_BT is not used, is used only for the first step of a segment, or '
      'clears after the step instead of before it: see memjax.ops.steps.walk',
      start=at,
    )
  return ''


def causal(s: Subject) -> str:
  """Inputs and resets after a step change no output up to it."""
  inputs, reset_BT = draw(s.input_spec, s.length)
  later, resets = draw(s.input_spec, s.length, seed=1)[0], some_resets(s.length)
  for end in (s.length - 1, s.length // 2, 1):
    changed, forgets = later.copy(), resets.copy()
    changed[:, :end], forgets[:, :end] = inputs[:, :end], False
    _, y = s.read(s.fresh(), inputs, reset_BT)
    _, other = s.read(s.fresh(), changed, forgets)
    seen = f'Inputs from step {end} on change earlier outputs'
    require_close(other[:, :end], y[:, :end], seen, AHEAD)
  return ''


def horizon(s: Subject) -> str:
  """An input changes outputs up to `horizon` steps later, and none after."""
  bound = s.model.horizon
  if not bound:
    return 'no bound is declared'
  length = max(s.length, bound + 8)  # mostly the one of the other laws
  for at in (0, 3):
    inputs, reset_BT = draw(s.input_spec, length)
    changed = inputs.copy()
    changed[:, at] = draw(s.input_spec, at + 1, seed=1)[0][:, at]
    changed[:, at] += np.asarray(changed[:, at] == inputs[:, at]) * 1
    if not np.issubdtype(inputs.dtype, np.floating):
      changed %= s.input_spec.size
    _, y = s.read(s.fresh(), inputs, reset_BT)
    _, other = s.read(s.fresh(), changed, reset_BT)
    after = at + bound + 1
    require_close(
      other[:, after:],
      y[:, after:],
      f'The horizon is {bound}, and the input of step {at} changes outputs '
      f'more than {bound} steps later',
      'a window that is one step longer than `horizon` says',
      start=after,
    )
    # At 0, a block of the memory begins.
    require_law(
      at != 0 or np.abs(other[:, bound] - y[:, bound]).max() > 0,
      f'The horizon is {bound}, and the input of step 0 does not change the '
      f'output of step {bound}',
      'a window that is shorter than `horizon` says',
    )
  return f'{bound} steps'


def another_horizon(s: Subject) -> str:
  """The same parameters serve a longer horizon, or the memory refuses one."""
  wanted = 2 * s.model.horizon or 1
  try:
    longer = s.model.with_horizon(wanted)
  except ConfigError:
    return 'it offers none'
  require_law(
    s.model.horizon > 0,
    f'the horizon is 0, no bound, and with_horizon({wanted}) returns a memory',
    'with_horizon is written and the property horizon is not',
  )
  require_law(
    longer.horizon == wanted,
    f'with_horizon({wanted}) returns a memory with the horizon '
    f'{longer.horizon}',
    'self.clone(window=horizon) with another field, or without the field',
  )
  shapes = jax.tree.map(jnp.shape, s.variables)
  others = jax.tree.map(jnp.shape, Subject(longer, s.input_spec).variables)
  require_law(
    others == shapes,
    f'with_horizon({wanted}) returns a memory with other parameters',
    'a parameter for each step of the window: raise ConfigError instead',
  )
  horizon(s.with_model(longer))
  return f'{wanted} steps'
