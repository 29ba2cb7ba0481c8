"""Which memory each layer of a stack has, and what they see together.

A pattern is names of memories separated by spaces, 'layer layer attention'. It
is repeated over the depth and cut where the layers end.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

from memjax.errors import ConfigError, nearest, require
from memjax.models.base import Memory


def names(pattern: str) -> list[str]:
  """The names in a pattern; 'layer' where it is empty."""
  return pattern.split() or ['layer']


def check_names(field: str, value: str, memories: Mapping[str, Memory]) -> None:
  """Requires names of memories, separated by spaces.

  Raises:
    ConfigError: a name is unknown.
  """
  for name in value.split():
    if name not in memories:
      raise ConfigError(field, value, nearest(name, memories))


def check_pattern(
  pattern: str, memories: Mapping[str, Memory], width: int, depth: int
) -> None:
  """Requires names that are known and used, and one width.

  Args:
    pattern: names of memories.
    memories: by name; 'layer' is the field `layer` of the stack, the others
      are its field `others`.
    width: of the stack.
    depth: number of layers.

  Raises:
    ConfigError: a field of the stack breaks a rule.
  """
  check_names('pattern', pattern, memories)
  number = len(names(pattern))
  rule = f'has {number} layers, more than the depth, {depth}'
  require(number <= depth, 'pattern', pattern, rule)
  for name, memory in memories.items():
    field = 'layer' if name == 'layer' else f'others.{name}'
    rule = f'must be the width of the stack, {width}'
    require(memory.width == width, f'{field}.width', memory.width, rule)
    used = name == 'layer' or name in names(pattern)
    require(used, field, name, f'is not in the pattern, {pattern!r}')


def arranged(
  pattern: str, memories: Mapping[str, Memory], depth: int
) -> list[Memory]:
  """The memory of each layer."""
  turn = names(pattern)
  return [memories[turn[i % len(turn)]] for i in range(depth)]


def placed(memory: Memory, **place: Any) -> Memory:
  """A copy that knows its place, as far as it has fields for it.

  Args:
    memory: a layer of a stack.
    place: `index` and `depth`, the number of layers; with pre-norm the `norm`
      and its `epsilon`, for memories that norm their inputs themselves.
  """
  fields = {field.name for field in dataclasses.fields(memory)}
  known = {name: value for name, value in place.items() if name in fields}
  return memory.clone(parent=None, **known)


def block_of(layers: Sequence[Memory]) -> int:
  """The block of all layers, 0 unless they have the same."""
  blocks = {layer.block for layer in layers}
  return blocks.pop() if len(blocks) == 1 else 0


def horizon_of(layers: Sequence[Memory]) -> int:
  """How far the layers see, one on top of the other.

  What a layer sees has seen in its turn, so horizons add up; but nothing is
  seen across the blocks that all layers begin together. 0: no bound.
  """
  if block := block_of(layers):
    return block - 1
  horizons = [layer.horizon for layer in layers]
  return sum(horizons) if all(horizons) else 0


def breaks_of(layers: Sequence[Memory]) -> dict[str, str]:
  """{law: reason} for each law that a layer breaks on purpose.

  A horizon is wrong only if there is one.
  """
  reasons: dict[str, str] = {}
  for layer in layers:
    reasons |= layer.breaks
  if not horizon_of(layers):
    reasons.pop('horizon', None)
  return reasons


def scaled(
  memories: Mapping[str, Memory], layers: Sequence[Memory], horizon: int
) -> dict[str, Memory]:
  """The memories with horizons in the same proportion that make this one.

  Raises:
    ConfigError: a layer has no bound, or the horizon cannot be shared out.
  """
  before = horizon_of(layers)
  rule = 'a layer of the stack has no horizon that could be changed'
  require(before > 0, 'horizon', horizon, rule)
  shares = [layer.horizon for layer in layers]
  step = 1 if block_of(layers) else before // math.gcd(*shares)
  rule = f'must be a positive multiple of {step}: {len(layers)} layers share it'
  require(horizon > 0 and horizon % step == 0, 'horizon', horizon, rule)
  return {
    name: memory.with_horizon(memory.horizon * horizon // before)
    for name, memory in memories.items()
  }
