"""A memory under test: random parameters, inputs, resets, compiled calls."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory, Model, apply
from memjax.types import Carry, Params, Spec

ROWS = 3
LENGTH = 40  # longer than the memories under test, or windows never roll over
PIECE = 11
LARGEST = 1e3  # of outputs, beyond which round-off looks like a broken law


class Subject:
  """A memory, what it reads, and parameters that are made when asked for.

  Args:
    model: the memory.
    input_spec: what its inputs are.
    length: steps of a segment; longer than the memory's window, or the window
      never rolls over.
  """

  def __init__(self, model: Memory, input_spec: Spec, length: int = LENGTH):
    self.model, self.input_spec, self.length = model, input_spec, length
    self.call = compiled(model)
    self._shapes: dict[Any, Any] = {}

  @functools.cached_property
  def variables(self) -> Mapping[str, Any]:
    """Shapes and types of what the memory initialises, by collection."""
    return jax.eval_shape(_initial(self.model), *draw(self.input_spec, 1))

  def shapes(
    self, length: int, dtype: str = 'float32', train: bool = False
  ) -> Any:
    """Shapes and types of what a call returns, with this compute type."""

    def cast(x: Any) -> Any:
      floating = jnp.issubdtype(x.dtype, jnp.floating)
      return jax.ShapeDtypeStruct(x.shape, dtype if floating else x.dtype)

    def call(params: Params, *arguments: Any) -> Any:
      rngs = {'dropout': jax.random.key(0)} if train else {}
      variables = {'params': params}
      return self.model.apply(variables, *arguments, train=train, rngs=rngs)

    key = length, dtype, train
    if key not in self._shapes:
      params = jax.tree.map(cast, self.variables.get('params', {}))
      read = jax.tree.map(cast, draw(self.input_spec, length))
      with jax.numpy_dtype_promotion('standard'):  # as linen's LayerNorm needs
        self._shapes[key] = jax.eval_shape(call, params, self.fresh(), *read)
    return self._shapes[key]

  @functools.cached_property
  def params(self) -> Params:
    """Random ones, so that no zero hides a term.

    Where they make the outputs of three segments large, the memory's own
    initial ones, without zeros.
    """
    rng = np.random.default_rng(0)

    def drawn(p: jax.ShapeDtypeStruct) -> jax.Array:
      size = 0.3 if p.ndim < 2 else p.shape[0] ** -0.5
      return jnp.asarray(size * rng.normal(size=p.shape), p.dtype)

    def own(initial: jax.Array, random: jax.Array) -> jax.Array:
      return jnp.where(initial == 0, random, initial)

    params = jax.tree.map(drawn, self.variables.get('params', {}))
    inputs, reset_BT = draw(self.input_spec, self.length)
    carry = self.fresh()
    for _ in range(3):
      carry, y = self.call(params, carry, inputs, reset_BT)
    if np.abs(y).max() <= LARGEST:  # False for NaN
      return params
    initial = jax.jit(_initial(self.model))(*draw(self.input_spec, 1))
    return jax.tree.map(own, initial['params'], params)

  def fresh(self) -> Carry:
    """The carry of rows that remember nothing."""
    return self.model.initial_carry(ROWS)

  def read(
    self, carry: Carry, inputs: np.ndarray, reset_BT: np.ndarray
  ) -> tuple[Carry, np.ndarray]:
    """The carry after a segment, and the outputs; the given carry is gone."""
    carry, y = self.call(self.params, carry, inputs, reset_BT)
    return carry, np.asarray(y)

  def read_in(
    self, sizes: list[int], inputs: np.ndarray, reset_BT: np.ndarray
  ) -> np.ndarray:
    """The outputs of a stream read in pieces of these sizes."""
    assert sum(sizes) == inputs.shape[1]
    carry, ys = self.fresh(), []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
      piece = slice(end - size, end)
      carry, y = self.read(carry, inputs[:, piece], reset_BT[:, piece])
      ys.append(y)
    return np.concatenate(ys, axis=1)

  def with_model(self, model: Memory) -> 'Subject':
    """Another memory with the same parameters."""
    other = Subject(model, self.input_spec, self.length)
    other.params = self.params
    return other


def _initial(model: Memory) -> Callable[..., Mapping[str, Any]]:
  def initial(inputs: jax.Array, reset_BT: jax.Array) -> Mapping[str, Any]:
    arguments = model.initial_carry(ROWS), inputs, reset_BT
    return model.init(jax.random.key(0), *arguments)

  return initial


def output_width(model: Memory) -> int:
  """Number of outputs of a step."""
  if isinstance(model, Model):
    return model.output_spec.size
  width: int = model.width
  return width


def compiled(model: Memory) -> Callable[..., tuple[Carry, jax.Array]]:
  """`(params, carry, inputs, reset_BT) -> (carry, outputs)`, compiled.

  It donates the carry, as the training step does, and has full precision on
  any device.
  """

  def read(
    params: Params, carry: Carry, inputs: Any, reset_BT: Any
  ) -> tuple[Carry, jax.Array]:
    with jax.default_matmul_precision('highest'):
      return apply(model, params, carry, inputs, reset_BT)

  return jax.jit(read, donate_argnums=1)


def draw(
  spec: Spec, length: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Random inputs of ROWS rows, and no resets."""
  rng = np.random.default_rng(seed)
  inputs = np.array(spec.sample(rng, ROWS, length))
  return inputs, np.zeros((ROWS, length), bool)


def some_resets(length: int) -> np.ndarray:
  """Resets in all rows but the last: at the start, two in a row, at random."""
  reset_BT = np.random.default_rng(1).random((ROWS, length)) < 0.05
  reset_BT[0, [0, 7, 8]] = True
  reset_BT[-1] = False
  return reset_BT
