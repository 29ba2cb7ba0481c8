"""The arrays that a memory shows of its inside, as a pure second result.

`models.base` lists their names. A program that does not ask for them does not
compute them.
"""

from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.streams import NUMBER
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Inputs, Params, Reset_BT

ENCODER = 'encoder'  # its time axis is the words of a step: left out

Shown = dict[str, jax.Array]


def look(
  model: Memory,
  params: Params,
  carry: Carry,
  inputs: Inputs,
  reset_BT: Reset_BT,
) -> tuple[Carry, jax.Array, Shown]:
  """Reads a segment and returns what the model shows; jittable.

  Args:
    model: any memory.
    params: its parameters.
    carry: the memory before.
    inputs: `(B, T, ...)`.
    reset_BT: where rows forget.

  Returns:
    The same carry and outputs as `apply`, and what the model shows,
    {'layer_0/memory/read_weights': `(B, T, H, M)`}; {} if it shows nothing.
  """
  result: Any = model.apply(
    {'params': params}, carry, inputs, reset_BT, mutable=['intermediates']
  )
  (carry, y), collections = result
  shown = traverse_util.flatten_dict(
    collections.get('intermediates', {}), sep='/'
  )
  return (
    carry,
    y,
    {
      path: array
      for path, (array,) in shown.items()
      if path.split('/')[0] != ENCODER
    },
  )


def shown_paths(model: Memory, task: Task) -> list[str]:
  """The paths of the arrays that a model shows; runs no program."""
  batch, params = shapes(model, task)
  carry = jax.eval_shape(lambda: model.initial_carry(1))

  def one(params: Params, carry: Carry, batch: Batch) -> Shown:
    return look(model, params, carry, batch.inputs, batch.reset_BT)[2]

  return list(jax.eval_shape(one, params, carry, batch))


def shapes(model: Memory, task: Task) -> tuple[Any, Params]:
  """The shapes of a batch of one row and of the model's parameters."""
  feed = task.rows(Stream(0, NUMBER, 1), 0, np.arange(1))
  batch = jax.eval_shape(task.batch, feed)
  return batch, param_shapes(model, batch.inputs)


def param_shapes(model: Memory, inputs: Any) -> Params:
  """The shapes of the model's parameters, from inputs `(1, T, ...)`."""

  def init(inputs: jax.Array) -> Params:
    reset_BT = jnp.zeros(inputs.shape[:2], bool)
    carry = model.initial_carry(1)
    return model.init(jax.random.key(0), carry, inputs, reset_BT)['params']

  return jax.eval_shape(init, inputs)
