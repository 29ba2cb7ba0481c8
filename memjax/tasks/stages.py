"""Other sizes of a task in training: by step, or from row to row.

    curriculum = '0 length=16; 2000 length=32; 5000'
    mixture = '5 length=64 pairs=4; 1 length=128 pairs=8'

A part of a curriculum is the step at which it begins, and the fields that
differ from the task's own; the last part begins at step 5000 and is the task as
it is. A part of a mixture is the share of its rows, and its fields. Both are
functions of (seed, step, row), so a resumed run sees the same rows. Only
training has them: every other stream reads the task as it is.

Rows keep the task's T: a shorter row is padded with zeros, which have no label.
"""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError, nearest, require
from memjax.tasks.draws import pick
from memjax.types import Example

FIELDS = ('curriculum', 'mixture')
COMPONENT = 0x6D6978  # folded into a row's key to draw its part of a mixture
FORM = "must be like '0 length=16; 2000 length=32'"


class Part(NamedTuple):
  """One part of a curriculum or a mixture.

  Attributes:
    number: its first step, or its share.
    task: the task that it draws from.
  """

  number: float
  task: Any


def parse_parts(task: Any, field: str) -> tuple[Part, ...]:
  """The parts that `task.curriculum` or `task.mixture` names; () if empty.

  Raises:
    ConfigError: a part is malformed, names an unknown field, is refused by the
      task, or does not fit into its rows.
  """
  if not getattr(task, field):
    return ()
  # As `functools.cached_property` does: a part keeps what it has prepared.
  known = vars(task).setdefault('_parts', {})
  if field not in known:
    known[field] = _parse(task, field)
  return known[field]


def _parse(task: Any, field: str) -> tuple[Part, ...]:
  value = getattr(task, field)
  both = all(getattr(task, name, '') for name in FIELDS)
  require(not both, field, value, f'only one of {" and ".join(FIELDS)}')
  parts = tuple(_parse_part(task, field, text) for text in value.split(';'))
  numbers = [part.number for part in parts]
  if field == 'curriculum':
    rule = 'must begin at step 0, and its steps must rise'
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    require(numbers[0] == 0 and rising, field, value, rule)
  else:
    fits = all(0 < number < math.inf for number in numbers)
    require(fits, field, value, 'shares must be above 0')
  return parts


def rows_of_step(task: Any, stream: Any, step: int, row_ids: Any) -> Any:
  """What `task.rows` gives at a step of a curriculum, in rows of its length.

  It is for tasks whose `rows` are `(R, T, ...)` arrays, as those of a corpus.
  """
  parts = parse_parts(task, 'curriculum')
  part = [part.task for part in parts if part.number <= step][-1]
  rows = part.rows(stream, step, row_ids)
  return jax.tree.map(lambda x: pad_time(x, task.length, axis=1), rows)


def pad_time(x: Any, length: int, axis: int = 0) -> Any:
  """`(T', ...)` to `(length, ...)`, zeros at the end; the axis is time's."""
  library = np if isinstance(x, np.ndarray) else jnp
  widths = [(0, 0)] * x.ndim
  widths[axis] = (0, length - x.shape[axis])
  return library.pad(x, widths)


def draw_examples(task: Any, ids_R4: Any, training: int) -> Example:
  """The rows of these (seed, stream, step, row), parts of training included.

  Args:
    task: a generated task, with `example(key)`.
    ids_R4: one (seed, stream, step, row) a row; all have the same step.
    training: the number of the stream that trains.
  """
  ids_R4 = jnp.asarray(ids_R4)
  if task.curriculum:
    return _draw_by_step(task, ids_R4, training)
  if task.mixture:
    return _draw_by_row(task, ids_R4, training)
  return jax.vmap(lambda ids: task.example(row_key(ids)))(ids_R4)


def _draw_by_step(task: Any, ids_R4: jax.Array, training: int) -> Example:
  stages = parse_parts(task, 'curriculum')
  starts = jnp.array([stage.number for stage in stages])
  begun = (starts <= ids_R4[0, 2].astype(jnp.int32)).sum()
  index = jnp.where(ids_R4[0, 1] == training, begun - 1, len(stages))
  branches = [
    jax.vmap(lambda ids, of=of: _draw_row(of, ids, task.length))
    for of in (*(stage.task for stage in stages), task)
  ]
  return jax.lax.switch(index, branches, ids_R4)


def _draw_by_row(task: Any, ids_R4: jax.Array, training: int) -> Example:
  components = parse_parts(task, 'mixture')
  shares = jnp.array([component.number for component in components])
  branches = [
    lambda ids, of=of: _draw_row(of, ids, task.length)
    for of in (*(component.task for component in components), task)
  ]

  def draw(ids: jax.Array) -> Example:
    chosen = pick(jax.random.fold_in(row_key(ids), COMPONENT), shares)
    index = jnp.where(ids[1] == training, chosen, len(components))
    return jax.lax.switch(index, branches, ids)

  return jax.vmap(draw)(ids_R4)


def _draw_row(of: Any, ids: jax.Array, length: int) -> Example:
  """A row of a part, padded to the task's length."""
  example = of.example(row_key(ids))
  return jax.tree.map(lambda x: pad_time(x, length), example)


def row_key(ids: jax.Array) -> jax.Array:
  """The key of one (seed, stream, step, row)."""
  key = jax.random.key(ids[0])
  for i in range(1, 4):
    key = jax.random.fold_in(key, ids[i])
  return key


def _parse_part(task: Any, field: str, text: str) -> Part:
  value = getattr(task, field)
  number, *settings = text.split() or ['']
  try:
    count = int(number) if field == 'curriculum' else float(number)
  except ValueError:
    raise ConfigError(field, value, FORM) from None
  changes = {name: '' for name in FIELDS if hasattr(task, name)}
  for setting in settings:
    name, equals, given = setting.partition('=')
    require(bool(equals), field, value, FORM)
    changes[name] = _typed(task, field, name, given)
  try:
    part = dataclasses.replace(task, **changes)
    part.prepare()
  except ConfigError as error:
    rule = f'{error.field}: {error.value!r}: {error.rule}'
    raise ConfigError(field, value, rule) from None
  _check_fits(task, part, field)
  return Part(count, part)


def _typed(task: Any, field: str, name: str, given: str) -> Any:
  """The value of a field, from text."""
  own = {
    f.name: getattr(task, f.name)
    for f in dataclasses.fields(task)
    if f.name not in FIELDS and type(getattr(task, f.name)) in (int, float, str)
  }
  rule = f'no such field: {name}; {nearest(name, own)}'
  require(name in own, field, getattr(task, field), rule)
  kind = type(own[name])
  try:
    return kind(given)
  except ValueError:
    rule = f'{name}={given}: must be of type {kind.__name__}'
    raise ConfigError(field, getattr(task, field), rule) from None


def _check_fits(task: Any, part: Any, field: str) -> None:
  """Requires a part to have the task's vocabularies, and no more steps."""
  value = getattr(task, field)
  specs = part.input_spec, part.output_spec
  same = specs == (task.input_spec, task.output_spec)
  require(same, field, value, 'a part has another vocabulary than the task')
  rule = f'a part has rows of {part.length} steps, and the task {task.length}'
  require(part.length <= task.length, field, value, rule)
  rule = f'a part has {part.labels} labels, and the task {task.labels}'
  fits = not task.labels or 0 < part.labels <= task.labels
  require(fits, field, value, rule)
