"""Inputs that can be differentiated by, of any model that reads any.

Features are what they are. A token is an index into tables that the model has,
one or more. Here every input is given a row of its own in each of these tables,
a copy of its token's, and is the index of that row: the model says what it
said, and the gradient by the row is that by the embedded input. Which
parameters are tables shows in their shapes: those grow with the vocabulary. Of
a sentence every word has such rows, but not padding and the word that asks.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.types import Params, Spec

Answer = Callable[[Any], jax.Array]


def embedded(
  model: Memory,
  spec: Spec,
  params: Params,
  inputs: jax.Array,
  reset_1T: jax.Array,
) -> tuple[Any, Answer]:
  """One row's embedded inputs, and what the model answers to them.

  Args:
    model: any memory; one of tokens tells their number in its `input_spec`.
    spec: what the inputs are.
    params: the model's.
    inputs: one row, `(1, T, ...)`, read from an empty memory.
    reset_1T: where the row forgets.

  Returns:
    A tree of `(T, ...)` arrays, and the function from it to `(1, T, ...)`.

  Raises:
    ConfigError: no parameter is a table of the tokens.
  """
  carry = model.initial_carry(1)
  if not spec.discrete:

    def of_features(x: jax.Array) -> jax.Array:
      return apply(model, params, carry, x[None], reset_1T)[1]

    return inputs[0], of_features
  own = _own_ids(spec, inputs)
  wide, grown = _widened(model, spec, params, own, reset_1T)
  leaves, structure = jax.tree.flatten(params)
  tables = {
    i: leaf for i, leaf in enumerate(leaves) if leaf.shape != grown[i].shape
  }
  rule = 'has no table of the tokens it reads'
  require(bool(tables), 'model', type(model).__name__, rule)

  def of_rows(rows: dict[int, jax.Array]) -> jax.Array:
    longer = list(leaves)
    for i, table in tables.items():
      new = rows[i].reshape(-1, *table.shape[1:])
      longer[i] = jnp.concatenate([table, new])
    wider = jax.tree.unflatten(structure, longer)
    _, y = apply(wide, wider, carry, own, reset_1T)
    return y[..., : model.output_spec.size]

  return {i: table[inputs[0]] for i, table in tables.items()}, of_rows


def _own_ids(spec: Spec, inputs: jax.Array) -> jax.Array:
  """Behind the vocabulary, one for each input."""
  own = spec.size + jnp.arange(inputs.size, dtype=inputs.dtype)
  return jnp.where(spec.reserved(inputs), inputs, own.reshape(inputs.shape))


def _widened(
  model: Memory,
  spec: Spec,
  params: Params,
  own: jax.Array,
  reset_1T: jax.Array,
) -> tuple[Memory, list[jax.ShapeDtypeStruct]]:
  """The same model of a larger vocabulary, and the shapes of its parameters."""

  def shapes(model: Memory) -> Params:
    carry = model.initial_carry(1)
    key = jax.random.key(0)
    return jax.eval_shape(model.init, key, carry, own, reset_1T)['params']

  rule = 'tells no input_spec, the number of the tokens it reads'
  require(hasattr(model, 'input_spec'), 'model', type(model).__name__, rule)
  vocab = spec.size + own.size
  wide = model.clone(input_spec=spec.resized(vocab))
  grown = shapes(wide)
  if len(jax.tree.leaves(grown)) > len(jax.tree.leaves(params)):
    # What it reads and what it says share a table only if they are as many.
    wide = wide.clone(output_spec=model.output_spec.resized(vocab))
    grown = shapes(wide)
  return wide, jax.tree.leaves(grown)
