"""What is said of a law that does not hold."""

from collections.abc import Iterator, Mapping
import dataclasses
import inspect
from pathlib import Path
import traceback
from typing import Any

import jax
import numpy as np

from memjax.models.base import Memory

# Float32 sums in another order differ by about 1e-6 of their terms, which 120
# steps of a recurrence make about 1e-5. A broken law shows 1e-2 or more.
TOLERANCE = 1e-4

HINTS = {  # {a part of an exception: what usually causes it}
  'TracerBoolConversionError': "Python's if or while asks for the value of an "
  'array: use jnp.where or jax.lax.cond',
  'TracerIntegerConversionError': 'an array is used as a Python integer',
  'TracerArrayConversionError': 'numpy is called on an array of jax: use jnp',
  'ConcretizationTypeError': 'a Python number or a shape is made from the '
  'value of an array',
  'UnexpectedTracerError': 'an array is kept on self or in a global variable: '
  'keep it in the carry',
  'AssignSubModuleError': 'a submodule is made outside of setup and of a '
  '@nn.compact method',
  'CallCompactUnboundModuleError': 'a submodule is called outside of setup and '
  'of a @nn.compact method, or by initial_carry',
  'InvalidRngError': 'random numbers are drawn with train=False, or from '
  "another stream than 'dropout'",
  'ModifyScopeVariableError': 'a variable beside the parameters is changed: '
  'keep it in the carry',
  'SetAttributeFrozenModuleError': 'state on self: keep it in the carry',
  '"deterministic" must be passed': 'write nn.Dropout(rate, '
  'deterministic=not train)',
  'leading axis sizes': 'jax.lax.scan reads axis 0: give it time first, '
  'jnp.moveaxis(x, 1, 0)',
  'rank_promotion': 'arrays of different rank meet: give the smaller one its '
  'axes, as in rate_D[None]',
  'scan body function carry': 'the carry of jax.lax.scan changes its shape or '
  'type inside a step: cast it back, .astype(c.dtype)',
  'incompatible shapes': 'x is (B, T, D), and B and T are different numbers',
  'dot_general requires contracting': 'x is (B, T, D), and B, T and D are '
  'different numbers',
}
# Parts of an exception's text that say nothing about the memory.
TAILS = (
  ' (https://',
  ' For more information',
  ' and with the config option',
  ' The error occurred while tracing',
  ' This concrete value was not available',
)
LONGEST = 200  # characters of an exception's text


class Broken(Exception):
  """A law does not hold.

  Attributes:
    seen: what was seen, with the first place, in one line.
    hint: what usually causes it, in one line; '' if nothing is usual.
  """

  def __init__(self, seen: str, hint: str = ''):
    super().__init__(seen, hint)
    self.seen, self.hint = seen, hint


def require_law(holds: bool, seen: str, hint: str = '') -> None:
  """Raises Broken(seen, hint) unless the law holds."""
  if not holds:
    raise Broken(seen, hint)


def require_close(
  one: Any, other: Any, seen: str, hint: str, start: int = 0
) -> None:
  """Requires two outputs `(B, T, ...)` to be equal up to round-off.

  Args:
    one: outputs.
    other: what they should be.
    seen: what a difference means, without its place.
    hint: what usually causes it.
    start: number of the first step.

  Raises:
    Broken: with the first step at which they differ.
  """
  one, other = (np.asarray(y, np.float64) for y in (one, other))
  differ = ~np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)
  if not differ.any():
    return
  step, row = min((t, b) for b, t, *_ in np.argwhere(differ))
  unit = tuple(np.argwhere(differ[row, step])[0])
  values = f'{one[row, step][unit]:.4g} instead of {other[row, step][unit]:.4g}'
  most = np.max(np.abs(one - other)[differ])
  raise Broken(
    f'{seen}. First at row {row}, step {start + step}: {values}; the largest '
    f'difference is {most:.2g}',
    hint,
  )


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
  """(what a leaf is called in a sentence, leaf) of every leaf of a carry."""
  return [
    (f'leaf `{name(path)}` of the carry' if path else 'the carry', leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  ]


def name(path: Any) -> str:
  """'layers.0.h' of a leaf's path."""
  return jax.tree_util.keystr(path, simple=True, separator='.')


def shown(leaf: Any) -> str:
  """'float32 (3, 8)' of an array."""
  return f'{leaf.dtype} {tuple(leaf.shape)}'


def explain(error: Exception, model: Memory) -> Broken:
  """An exception inside a model's code, in one line with its place.

  Raises:
    Exception: the error itself, if it is one of memjax.laws.
  """
  frames = traceback.extract_tb(error.__traceback__)
  ours = Path(frames[-1].filename).parent == Path(__file__).parent
  if ours and type(error).__module__ == 'builtins':
    raise error
  kind = type(error).__name__
  text = ' '.join(str(error).split())
  hint = next(
    (said for part, said in HINTS.items() if part in f'{kind}: {text}'), ''
  )
  for tail in TAILS:
    text = text.partition(tail)[0]
  text = text if len(text) <= LONGEST else f'{text[: LONGEST - 3]}...'
  return Broken(f'{place(error, model)}{kind}: {text}', hint)


def place(error: Exception, model: Memory) -> str:
  """'decay.py, line 31, `c = a * c + x`: ', the last line of a memory.

  Lines of the user's own classes are preferred to those of memjax.
  """
  files = {
    inspect.getfile(cls): is_own(cls)
    for _, memory in memories(model, '')
    for cls in type(memory).__mro__
    if issubclass(cls, Memory) and cls is not Memory
  }
  frames = traceback.extract_tb(error.__traceback__)
  inside = [frame for frame in frames if frame.filename in files]
  own = [frame for frame in inside if files[frame.filename]]
  if not inside:
    return ''
  frame = (own or inside)[-1]
  line = f', `{frame.line}`' if frame.line else ''
  return f'{Path(frame.filename).name}, line {frame.lineno}{line}: '


def is_own(cls: type) -> bool:
  """Whether a class is the user's own, not one of memjax."""
  return cls.__module__.partition('.')[0] != 'memjax'


def memories(memory: Memory, field: str) -> Iterator[tuple[str, Memory]]:
  """(where it stands, memory) of a memory and of all inside it."""
  yield field, memory
  for part in dataclasses.fields(memory):
    if part.name in ('parent', 'name'):  # linen's own
      continue
    value = getattr(memory, part.name)
    inside = value if isinstance(value, Mapping) else {'': value}
    for key, inner in inside.items():
      if isinstance(inner, Memory):
        place = f'{field}.{part.name}'
        yield from memories(inner, f'{place}.{key}' if key else place)
