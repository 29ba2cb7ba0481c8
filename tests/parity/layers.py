"""A layer under test: random parameters, inputs, and reading in pieces."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory, apply
from memjax.types import Carry

ROWS, STEPS = 2, 13
# Each compiles one program a model, where a call without jit compiles dozens.
read = jax.jit(apply, static_argnums=0)
initial = jax.jit(
  lambda model, *read: model.init(jax.random.key(0), *read)['params'],
  static_argnums=0,
)


class Layer(NamedTuple):
  """A layer, parameters of such a size that each term counts, and inputs.

  The first row is reset at the start, twice in a row, and near the end.
  """

  model: Memory
  params: Any
  x_BTF: jax.Array
  reset_BT: jax.Array

  def read(self, sizes: list[int]) -> np.ndarray:
    """The outputs of a stream read in pieces of these sizes."""
    assert sum(sizes) == self.x_BTF.shape[1]
    carry, ys = self.model.initial_carry(len(self.x_BTF)), []
    x, reset = np.asarray(self.x_BTF), np.asarray(self.reset_BT)
    apply = jax.jit(lambda *args: self.model.apply(*args))  # its own program
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
      piece = slice(end - size, end)
      inputs = x[:, piece], reset[:, piece]
      carry, y = apply({'params': self.params}, carry, *inputs)
      ys.append(np.asarray(y))
    return np.concatenate(ys, axis=1)

  def show(self, sizes: list[int]) -> tuple[Carry, dict[str, Any]]:
    """The last carry; the outputs, as `y`, and all that the layer shows."""
    assert sum(sizes) == self.x_BTF.shape[1]
    carry, pieces = self.model.initial_carry(len(self.x_BTF)), []
    x, reset = np.asarray(self.x_BTF), np.asarray(self.reset_BT)
    apply = jax.jit(
      lambda *args: self.model.apply(*args, mutable=['intermediates'])
    )
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
      piece = slice(end - size, end)
      inputs = x[:, piece], reset[:, piece]
      (carry, y), sown = apply({'params': self.params}, carry, *inputs)
      pieces.append({'y': y} | first_of_each(sown['intermediates']))
    return carry, jax.tree.map(lambda *x: np.concatenate(x, axis=1), *pieces)

  def fresh_params(self) -> Any:
    """Parameters as the layer draws them."""
    carry = self.model.initial_carry(len(self.x_BTF))
    init = jax.jit(self.model.init)
    return init(jax.random.key(0), carry, self.x_BTF, self.reset_BT)['params']

  def rows64(self) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs and resets of each row, in float64."""
    x = np.asarray(self.x_BTF, np.float64)
    return list(zip(x, np.asarray(self.reset_BT), strict=True))

  def params64(self) -> Any:
    return jax.tree.map(lambda p: np.asarray(p, np.float64), self.params)


def first_of_each(sown: Any) -> Any:
  """Intermediates without the tuples that linen wraps them in."""
  return jax.tree.map(
    lambda arrays: arrays[0], sown, is_leaf=lambda x: isinstance(x, tuple)
  )


def layer(model: Memory, features: int, scale: float = 0.5) -> Layer:
  """The model with kernels and biases normal of this scale."""
  rng = np.random.default_rng(0)
  x = jnp.asarray(np.float32(rng.normal(size=(ROWS, STEPS, features))))
  resets = np.zeros((ROWS, STEPS), bool)
  resets[0, [0, 5, 6, 10]] = True
  reset_BT = jnp.asarray(resets)
  carry = model.initial_carry(ROWS)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset_BT)
  params = jax.tree.map(
    lambda p: jnp.asarray(np.float32(scale * rng.normal(size=p.shape))),
    shapes['params'],
  )
  return Layer(model, params, x, reset_BT)
