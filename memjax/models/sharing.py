"""Memories whose layers share values across the depth of a Stack.

    carry, y, shared = memory.as_layer(carry, x, reset_BT, shared)

`shared` holds arrays by name. It is {} at the lowest layer, and each layer
hands it to the next one with what it adds. Arrays of steps are `(B, T, ...)`
and obey the laws of `base.Memory` as outputs do; others are made of parameters
alone. Nothing of it is kept for the next segment.
"""

import abc

import jax

from memjax.models.base import Memory
from memjax.types import Carry, Inputs_BTF, Reset_BT, Sequence_BTD


class Sharing(Memory):
  """A memory that is defined by `as_layer`. Alone it is the lowest layer."""

  @abc.abstractmethod
  def as_layer(
    self,
    carry: Carry,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD, dict[str, jax.Array]]: ...

  def __call__(
    self,
    carry: Carry,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    carry, y, _ = self.as_layer(carry, x, reset_BT, {}, train=train)
    return carry, y
