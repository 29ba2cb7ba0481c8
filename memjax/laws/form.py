"""The laws of form: methods, shapes and types. Nothing is computed.

Each is a function of a subject. It raises Broken, or returns a remark.
"""

import collections
from collections.abc import Callable
import dataclasses
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from memjax.laws.broken import Broken, named_leaves, require_law, shown
from memjax.laws.subject import (
  PIECE,
  ROWS,
  Subject,
  output_width,
)
from memjax.models.base import Memory, Model
from memjax.types import Carry

INITIAL = 'initial_carry(self, batch_size)'
CALL = '__call__(self, carry, x, reset_BT, *, train=False)'
COLLECTIONS = {'params', 'intermediates'}


def methods(s: Subject) -> str:
  """`initial_carry(batch_size)`, the call with `train`, and a width."""
  require_methods(type(s.model))
  return ''


def require_methods(cls: type[Memory]) -> None:
  """As `methods`, of a class; one that lacks a method has no objects.

  Raises:
    Broken: a method or the field `width` is missing, or takes other arguments.
  """
  for missing in sorted(cls.__abstractmethods__):
    form = INITIAL if missing == 'initial_carry' else CALL
    raise Broken(f'the class has no method {missing}', f'write {form}')
  methods: tuple[tuple[Callable[..., Any], str, list[Any], dict], ...] = (
    (cls.initial_carry, INITIAL, [None, ROWS], {}),
    (cls.__call__, CALL, [None] * 4, {'train': True}),
  )
  for method, form, arguments, keywords in methods:
    signature = inspect.signature(method)
    try:
      signature.bind(*arguments, **keywords)
    except TypeError as error:
      raise Broken(
        f'{method.__name__}{signature}: {error}', f'it must be {form}'
      ) from None
  fields = {field.name for field in dataclasses.fields(cls)}
  require_law(
    'width' in fields or issubclass(cls, Model),
    'the class has no field `width`',
    'a layer takes its width from the Stack: add `width: int`',
  )


def batch_first(s: Subject) -> str:
  """Leaves of the first carry are `(B, ...)`, not empty, floats float32."""
  carry, wider = s.fresh(), s.model.initial_carry(ROWS + 1)
  leaves, wide_leaves = named_leaves(carry), named_leaves(wider)
  require_law(
    [leaf for leaf, _ in leaves] == [leaf for leaf, _ in wide_leaves],
    f'the carry of {ROWS} rows has other leaves than that of {ROWS + 1} rows',
  )
  for (leaf, value), (_, wide) in zip(leaves, wide_leaves, strict=True):
    require_law(
      isinstance(value, jax.Array),
      f'{leaf} is of type {type(value).__name__}, not an array of jax',
      'a Python number or a numpy array: use jnp.zeros((batch_size, ...))',
    )
    _batch_axis(leaf, value.shape, wide.shape)
    require_law(
      value.size > 0,
      f'{leaf} is empty, {shown(value)}; a checkpoint cannot hold it',
      'a number of slots that may be 0: use max(slots, 1)',
    )
    require_law(
      not value.weak_type,
      f'{leaf} has a weak type, so the step would compile twice',
      'jnp.full with a Python number: use jnp.zeros, or give a dtype',
    )
    floating = jnp.issubdtype(value.dtype, jnp.floating)
    require_law(
      not floating or value.dtype == jnp.float32,
      f'{leaf} is {value.dtype}; floats of a carry are float32',
      'a dtype of its own: the compute type follows the parameters',
    )
  kinds = collections.Counter(shown(value) for _, value in leaves)
  return ', '.join(f'{n} of {kind}' for kind, n in kinds.items())


def _batch_axis(
  leaf: str, shape: tuple[int, ...], wide: tuple[int, ...]
) -> None:
  """Requires axis 0, and no other, to grow with the batch."""
  if shape[:1] == (ROWS,) and wide == (ROWS + 1, *shape[1:]):
    return
  if len(shape) == len(wide):
    grows = [i for i in range(len(shape)) if shape[i] != wide[i]]
  else:
    grows = []
  if len(grows) == 1 and grows[0] > 0:
    raise Broken(
      f'{leaf} has shape {shape}: the batch of {ROWS} is axis {grows[0]}, and '
      f'axis 0 has {shape[0]}',
      'time, slots or layers come first: the batch must be axis 0',
    )
  raise Broken(
    f'{leaf} has shape {shape} for {ROWS} rows and {wide} for {ROWS + 1}',
    'initial_carry does not use batch_size, or not as axis 0 alone',
  )


def traces(s: Subject) -> str:
  """Segments of 1 and of more steps are read, with and without `train`."""
  for collection in s.variables.keys() - COLLECTIONS:
    raise Broken(
      f'it keeps the collection {collection!r} beside its parameters',
      'a norm over the batch, or self.variable: state belongs into the carry',
    )
  for length, train in ((1, False), (PIECE, False), (PIECE, True)):
    result = s.shapes(length, train=train)
    require_law(
      isinstance(result, tuple) and len(result) == 2,
      f'a call returns a {type(result).__name__}, not (carry, outputs)',
    )
    _output_shape(s.model, result[1], length)
  number = sum(p.size for p in jax.tree.leaves(s.variables.get('params', {})))
  return f'{number:,} parameters'


def _output_shape(model: Memory, y: Any, length: int) -> None:
  wanted = ROWS, length, output_width(model)
  if not isinstance(y, jax.ShapeDtypeStruct):
    raise Broken(
      f'the outputs are a {type(y).__name__}, not an array',
      'a call returns (carry, outputs), in this order',
    )
  if y.shape == wanted:
    return
  hint = 'a call returns (carry, outputs), in this order'
  if y.shape[:2] == (length, ROWS) != (ROWS, length):
    hint = (
      'time comes first: outputs of jax.lax.scan need jnp.moveaxis(y, 0, 1)'
    )
  elif y.shape[:2] == wanted[:2] and len(y.shape) == 3:
    name = 'output_spec.size' if isinstance(model, Model) else 'width'
    hint = f'the last axis must be {name}, {wanted[2]}'
  raise Broken(
    f'for {ROWS} rows of {length} step(s) the outputs are {y.shape}, not '
    f'{wanted}',
    hint,
  )


def same_carry(s: Subject) -> str:
  """The carry comes out with the leaves, shapes and types it went in with."""
  for length in (1, PIECE):
    _same_leaves(s, length, 'float32')
  return ''


def bfloat16(s: Subject) -> str:
  """The carry keeps its types when the parameters are bfloat16."""
  _same_leaves(s, PIECE, 'bfloat16')
  return ''


def _same_leaves(s: Subject, length: int, dtype: str) -> None:
  before, (after, _) = s.fresh(), s.shapes(length, dtype)
  _same_structure(before, after)
  for (leaf, old), (_, new) in zip(
    named_leaves(before), named_leaves(after), strict=True
  ):
    seen = (
      f'{leaf} goes in as {shown(old)} and comes out as {shown(new)} after '
      f'{length} step(s) with {dtype} parameters'
    )
    hint = 'jax.lax.scan puts time first, or only a part of the rows is kept'
    require_law(old.shape == new.shape, seen, hint)
    hint = f'arithmetic with another type: return .astype(jnp.{old.dtype})'
    require_law(old.dtype == new.dtype, seen, hint)


def _same_structure(before: Carry, after: Carry) -> None:
  old: Any = jax.tree.structure(before)
  new: Any = jax.tree.structure(after)
  if old == new:
    return
  names = [[leaf for leaf, _ in named_leaves(c)] for c in (before, after)]
  lost = [n for n in names[0] if n not in names[1]]
  won = [n for n in names[1] if n not in names[0]]
  changes = [f'{n} is missing' for n in lost] + [f'{n} is new' for n in won]
  raise Broken(
    f'the carry comes out with other leaves: {"; ".join(changes[:4])}'
    if changes
    else f'the carry goes in as {old} and comes out as {new}',
    'a call returns another structure than initial_carry',
  )


def ranks(s: Subject) -> str:
  """No operation meets arrays of different rank; the package's tests ask it."""
  with jax.numpy_rank_promotion('raise'):
    Subject(s.model, s.input_spec).shapes(PIECE)
  return ''
