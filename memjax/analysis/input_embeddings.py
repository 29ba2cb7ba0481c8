"""Inputs that can be differentiated, of any model.

Features are differentiated as they are. A token is an index into one or more
tables of the model. Here every input gets a row of its own in each table, a
copy of its token's row, and its index is replaced by the index of that row. The
outputs stay the same, and the gradient by the row is the gradient by the
embedded input. The tables are the parameters whose shape grows with the
vocabulary. Every word of a sentence gets such rows, except padding and the word
that marks a question.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from memjax.analysis.intermediates import param_shapes, shapes
from memjax.errors import ConfigError, require
from memjax.models.base import Memory, Model, apply
from memjax.tasks.base import Task
from memjax.types import Params, Spec

Answer = Callable[[Any], jax.Array]
NO_TABLE = 'no parameter of the model is an embedding table of its inputs'


def embed_inputs(
  model: Memory,
  spec: Spec,
  params: Params,
  inputs: jax.Array,
  reset_BT: jax.Array,
) -> tuple[Any, Answer]:
  """Embedded inputs, and the model's outputs as a function of them.

  Args:
    model: any memory; one that reads tokens is a whole model.
    spec: of the inputs.
    params: the model's.
    inputs: `(B, T, ...)`, read from an empty memory.
    reset_BT: where rows forget.

  Returns:
    A tree of `(B, T, ...)` arrays, and the function from it to `(B, T, ...)`.

  Raises:
    ConfigError: no parameter is an embedding table.
  """
  carry = model.initial_carry(len(inputs))
  if not spec.discrete:

    def of_features(x: jax.Array) -> jax.Array:
      return apply(model, params, carry, x, reset_BT)[1]

    return inputs, of_features
  if not isinstance(model, Model):
    raise ConfigError('model', type(model).__name__, NO_TABLE)
  own = _own_ids(spec, inputs)
  wide, grown = _widen(model, spec, params, own)
  leaves, structure = jax.tree.flatten(params)
  tables = {
    i: leaf for i, leaf in enumerate(leaves) if leaf.shape != grown[i].shape
  }
  require(bool(tables), 'model', type(model).__name__, NO_TABLE)

  def of_rows(rows: dict[int, jax.Array]) -> jax.Array:
    longer = list(leaves)
    for i, table in tables.items():
      new = rows[i].reshape(-1, *table.shape[1:])
      longer[i] = jnp.concatenate([table, new])
    wider = jax.tree.unflatten(structure, longer)
    _, y = apply(wide, wider, carry, own, reset_BT)
    return y[..., : model.output_spec.size]

  return {i: table[inputs] for i, table in tables.items()}, of_rows


def why_not_embedded(model: Memory, task: Task) -> str:
  """Why a task's inputs have no embedding in the model; '' if they have one."""
  if not task.input_spec.discrete:
    return ''
  if not isinstance(model, Model):
    return NO_TABLE
  params = shapes(model, task)[1]
  own = task.input_spec.zeros(1, task.length)
  _, grown = _widen(model, task.input_spec, params, own)
  pairs = zip(jax.tree.leaves(params), grown, strict=True)
  same = all(before.shape == after.shape for before, after in pairs)
  return NO_TABLE if same else ''


def _own_ids(spec: Spec, inputs: jax.Array) -> jax.Array:
  """An id behind the vocabulary for each input; reserved ids stay."""
  own = spec.size + jnp.arange(inputs.size, dtype=inputs.dtype)
  return jnp.where(spec.reserved(inputs), inputs, own.reshape(inputs.shape))


def _widen(
  model: Model, spec: Spec, params: Params, own: jax.Array
) -> tuple[Model, list[jax.ShapeDtypeStruct]]:
  """The model with a larger vocabulary, and the shapes of its parameters."""
  vocab = spec.size + own.size
  wide = model.clone(input_spec=spec.resized(vocab))
  grown = param_shapes(wide, own[:1])
  if len(jax.tree.leaves(grown)) > len(jax.tree.leaves(params)):
    # Inputs and outputs share a table only if their vocabularies are equal.
    wide = wide.clone(output_spec=model.output_spec.resized(vocab))
    grown = param_shapes(wide, own[:1])
  return wide, jax.tree.leaves(grown)
