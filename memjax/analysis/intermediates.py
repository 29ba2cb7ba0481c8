"""What a memory shows of itself, by the one way there is: a pure second answer.

`models.base` says under which names models show what. Whoever does not ask runs
a program without any of it.
"""

from typing import Any

from flax import traverse_util
import jax

from memjax.models.base import Memory
from memjax.types import Carry, Inputs, Params, Reset_BT

ENCODER = 'encoder'  # what it shows has the words of a step for its time

Shown = dict[str, jax.Array]


def look(
  model: Memory,
  params: Params,
  carry: Carry,
  inputs: Inputs,
  reset_BT: Reset_BT,
) -> tuple[Carry, jax.Array, Shown]:
  """Reads a segment and tells what happened in each of its steps; jittable.

  Args:
    model: any memory.
    params: its parameters.
    carry: the memory before.
    inputs: `(B, T, ...)`.
    reset_BT: where rows forget.

  Returns:
    The carry and the outputs, just as without looking, and what the model
    shows, {'layer_0/memory/read_weights': `(B, T, H, M)`}; nothing of a model
    that shows nothing.
  """
  made: Any = model.apply(
    {'params': params}, carry, inputs, reset_BT, mutable=['intermediates']
  )
  (carry, y), told = made
  shown = traverse_util.flatten_dict(told.get('intermediates', {}), sep='/')
  return (
    carry,
    y,
    {
      path: array
      for path, (array,) in shown.items()
      if path.split('/')[0] != ENCODER
    },
  )
