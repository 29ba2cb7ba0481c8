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

from collections.abc import Sequence
import dataclasses
import functools
import itertools
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
  return _parse(task, field) if getattr(task, field) else ()


@functools.cache
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
    require(min(numbers) > 0, field, value, 'shares must be above 0')
  return parts


def part_of_step(parts: Sequence[Part], step: int) -> Any:
  """The task of a curriculum at a step."""
  return [part.task for part in parts if part.number <= step][-1]


def pad_time(x: Any, length: int) -> Any:
  """`(T', ...)` to `(length, ...)`, zeros at the end."""
  library = np if isinstance(x, np.ndarray) else jnp
  return library.pad(x, [(0, length - x.shape[0])] + [(0, 0)] * (x.ndim - 1))


def draw_examples(task: Any, ids_R4: Any, training: int) -> Example:
  """The rows of these (seed, stream, step, row), parts of training included.

  Args:
    task: a generated task, with `example(key)`.
    ids_R4: one (seed, stream, step, row) a row; all have the same step.
    training: the number of the stream that trains.
  """
  stages, components = (parse_parts(task, field) for field in FIELDS)
  ids_R4 = jnp.asarray(ids_R4)
  whole = len(stages) or len(components)  # the index of the task itself
  tasks = [part.task for part in stages or components] + [task]
  numbers = jnp.array([part.number for part in stages or components])

  def row(ids: jax.Array, of: Any) -> Example:
    example = of.example(_key(ids))
    return jax.tree.map(lambda x: pad_time(x, task.length), example)

  def rows(of: Any) -> Any:
    return lambda ids: jax.vmap(lambda ids: row(ids, of))(ids)

  def component(ids: jax.Array) -> jax.Array:
    chosen = pick(jax.random.fold_in(_key(ids), COMPONENT), numbers)
    return jnp.where(ids[1] == training, chosen, whole)

  if stages:
    begun = numbers <= ids_R4[0, 2].astype(jnp.float32)
    trains = ids_R4[0, 1] == training
    index = jnp.where(trains, begun.sum() - 1, whole)
    return jax.lax.switch(index, [rows(of) for of in tasks], ids_R4)
  if components:
    branches = [lambda ids, of=of: row(ids, of) for of in tasks]
    return jax.vmap(lambda ids: jax.lax.switch(component(ids), branches, ids))(
      ids_R4
    )
  return jax.vmap(lambda ids: task.example(_key(ids)))(ids_R4)


def _key(ids: jax.Array) -> jax.Array:
  key = jax.random.key(ids[0])
  for i in range(1, 4):
    key = jax.random.fold_in(key, ids[i])
  return key


def _parse_part(task: Any, field: str, text: str) -> Part:
  value = getattr(task, field)
  number, *settings = text.split() or ['']
  try:
    count = float(number)
  except ValueError:
    raise ConfigError(field, value, FORM) from None
  changes = {name: '' for name in FIELDS if hasattr(task, name)}
  for setting in settings:
    name, equals, given = setting.partition('=')
    require(bool(equals), field, value, FORM)
    changes[name] = _typed(task, field, name, given)
  try:
    part = dataclasses.replace(task, **changes)
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
