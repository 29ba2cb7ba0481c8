"""Parameters and carries in fewer numbers or fewer bits: pure functions.

    quantised   w -> s round(w / s), s = max |w| / (2^(bits-1) - 1) a channel
    pruned      the smallest |w| of a kernel, or random ones, become 0
    two_of_four of four weights in a column, the two smallest |w| become 0
    narrowed    the columns of a kernel of the smallest norms become 0
    low_rank    W -> its nearest matrix of a lower rank, by the SVD

Papers: Gholami et al. 2021, quantisation, https://arxiv.org/abs/2103.13630; Han
et al. 2015, magnitude pruning, https://arxiv.org/abs/1506.02626; Mishra et al.
2021, 2:4 sparsity, https://arxiv.org/abs/2104.08378. Nothing is trained again.

Kernels are arrays of two axes or more; the last two are rows and columns, and a
channel is a column. Vectors stay as they are. Functions take the
parameters of one replica.
"""

from collections.abc import Callable, Iterator
from functools import partial
import math
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from memjax.models.base import Memory, apply
from memjax.types import Carry, Params

FLOAT = 32  # bits
Shape: TypeAlias = tuple[int, ...]


class Compressor(NamedTuple):
  """One way to store parameters.

  Attributes:
    name: a few words.
    apply: gives the parameters that are read back.
    bits: of a kernel of this shape, as it is stored.
  """

  name: str
  apply: Callable[[Params], Params]
  bits: Callable[[Shape], float]

  def stored_bytes(self, params: Params) -> int:
    """Bytes of all parameters as they are stored, without names and shapes."""
    leaves = jax.tree.leaves(params)
    vectors = FLOAT * sum(x.size for x in leaves if x.ndim < 2)
    kernels = sum(self.bits(x.shape) for x in leaves if x.ndim >= 2)
    return math.ceil((vectors + kernels) / 8)


def of_kernels(change: Callable[[jax.Array], jax.Array], params: Params) -> Any:
  """The parameters with every kernel changed."""
  return jax.tree.map(lambda x: change(x) if x.ndim >= 2 else x, params)


def quantised(params: Params, bits: int) -> Params:
  """Symmetric integers of this number of bits, a scale for each column."""
  levels = 2.0 ** (bits - 1) - 1

  def change(w: jax.Array) -> jax.Array:
    return rounded(w, jnp.abs(w).max(axis=-2, keepdims=True), levels)

  return of_kernels(change, params)


def quantised_carry(carry: Carry, levels: jax.Array) -> Carry:
  """The floats of a carry `(B, ...)`, a scale for each row and leaf.

  Args:
    carry: numbers that are not finite, integers and booleans stay.
    levels: 2^(bits-1) - 1, ().
  """

  def change(x: jax.Array) -> jax.Array:
    if not jnp.issubdtype(x.dtype, jnp.floating):
      return x
    size = jnp.where(jnp.isfinite(x), jnp.abs(x), 0)
    most = size.max(axis=tuple(range(1, x.ndim)), keepdims=True)
    return jnp.where(jnp.isfinite(x), rounded(x, most, levels), x)

  return jax.tree.map(change, carry)


def rounded(x: jax.Array, most: jax.Array, levels: Any) -> jax.Array:
  """The nearest multiples of `most / levels`; the largest |x| is `most`."""
  scale = jnp.where(most > 0, most, 1) / levels
  return jnp.round(x / scale) * scale


def pruned(params: Params, share: float, seed: int = -1) -> Params:
  """A share of each kernel is 0: the smallest, or with a seed random ones."""

  def keep(number: int, w: jax.Array) -> jax.Array:
    order = jnp.abs(w)
    if seed >= 0:
      key = jax.random.fold_in(jax.random.key(seed), number)
      order = jax.random.uniform(key, w.shape)
    place = jnp.argsort(jnp.argsort(order.ravel())).reshape(w.shape)
    return jnp.where(place >= round(share * w.size), w, 0)

  leaves, structure = jax.tree.flatten(params)
  kept = [keep(i, w) if w.ndim >= 2 else w for i, w in enumerate(leaves)]
  return jax.tree.unflatten(structure, kept)


def two_of_four(params: Params) -> Params:
  """Of each four weights below each other, the two smallest are 0.

  Rows that are left over where four does not divide them stay.
  """

  def change(w: jax.Array) -> jax.Array:
    whole = w.shape[-2] // 4 * 4
    groups = w[..., :whole, :].reshape(*w.shape[:-2], -1, 4, w.shape[-1])
    order = jnp.argsort(jnp.argsort(jnp.abs(groups), axis=-2), axis=-2)
    kept = jnp.where(order >= 2, groups, 0)
    kept = kept.reshape(*w.shape[:-2], whole, w.shape[-1])
    return jnp.concatenate([kept, w[..., whole:, :]], axis=-2)

  return of_kernels(change, params)


def narrowed(params: Params, share: float) -> Params:
  """A share of the columns of each kernel is 0: those of the smallest norms."""

  def change(w: jax.Array) -> jax.Array:
    norms = jnp.linalg.norm(w, axis=-2, keepdims=True)
    place = jnp.argsort(jnp.argsort(norms, axis=-1), axis=-1)
    return jnp.where(place >= round(share * w.shape[-1]), w, 0)

  return of_kernels(change, params)


def low_rank(params: Params, share: float) -> Params:
  """Each kernel at this share of its rank, at least 1."""

  def change(w: jax.Array) -> jax.Array:
    u, s, v = jnp.linalg.svd(w, full_matrices=False)
    rank = rank_of(w.shape, share)
    return (u[..., :rank] * s[..., None, :rank]) @ v[..., :rank, :]

  return of_kernels(change, params)


def rank_of(shape: Shape, share: float) -> int:
  """The rank that `low_rank` keeps of a kernel."""
  return max(round(share * min(shape[-2:])), 1)


def compressors() -> Iterator[Compressor]:
  """Those that the report compares; the first one changes nothing."""
  yield Compressor('32 bits', lambda params: params, partial(_pruned_bits, 0.0))
  for bits in (8, 4, 3, 2):
    apply = partial(quantised, bits=bits)
    yield Compressor(f'{bits} bits', apply, partial(_integer_bits, bits))
  for share in (0.5, 0.75, 0.9):
    apply, size = partial(pruned, share=share), partial(_pruned_bits, share)
    yield Compressor(f'{share:.0%} pruned', apply, size)
  at_random = partial(pruned, share=0.5, seed=0)
  size = partial(_pruned_bits, 0.5)
  yield Compressor('50% pruned at random', at_random, size)
  yield Compressor('2:4', two_of_four, _two_of_four_bits)
  apply, size = partial(narrowed, share=0.25), partial(_narrowed_bits, 0.25)
  yield Compressor('25% of the columns pruned', apply, size)
  for share in (0.5, 0.25):
    apply, size = partial(low_rank, share=share), partial(_factor_bits, share)
    yield Compressor(f'{share:.0%} of the rank', apply, size)


# Bits of a kernel of a shape.


def _integer_bits(bits: int, shape: Shape) -> float:
  """Integers, and a scale for each column."""
  return bits * math.prod(shape) + FLOAT * math.prod(shape) // shape[-2]


def _pruned_bits(share: float, shape: Shape) -> float:
  """The weights that are left, and a bit for each place if some are not."""
  size = math.prod(shape)
  places = size if share else 0
  return places + FLOAT * (size - round(share * size))


def _narrowed_bits(share: float, shape: Shape) -> float:
  """The columns that are left, and a bit for each column of a matrix."""
  *stack, rows, columns = shape
  left = columns - round(share * columns)
  return math.prod(stack) * (FLOAT * rows * left + columns)


def _factor_bits(share: float, shape: Shape) -> float:
  """Two factors for each matrix."""
  rank, matrices = rank_of(shape, share), math.prod(shape[:-2])
  return FLOAT * matrices * rank * sum(shape[-2:])


def _two_of_four_bits(shape: Shape) -> float:
  """Two weights and two places of 2 bits a group; rows left over are whole."""
  columns = math.prod(shape) // shape[-2]
  groups, left = divmod(shape[-2], 4)
  return columns * (groups * 2 * (FLOAT + 2) + left * FLOAT)


@partial(jax.jit, static_argnums=0)
def step_by_step(
  model: Memory,
  params_N: Params,
  carry_N: Carry,
  inputs: Any,
  reset_BT: Any,
  levels_N: jax.Array,
) -> tuple[Carry, jax.Array]:
  """As `programs.forward`, with the carry rounded after every step.

  Args:
    model: any memory.
    params_N: its parameters, `(N, ...)`.
    carry_N: the memories before, `(N, B, ...)`.
    inputs: `(B, T, ...)`.
    reset_BT: where rows forget.
    levels_N: 2^(bits-1) - 1 of each replica.
  """
  steps = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (inputs, reset_BT))

  def one(params: Params, carry: Carry, levels: jax.Array) -> Any:
    def step(carry: Carry, x: Any) -> tuple[Carry, jax.Array]:
      now = jax.tree.map(lambda x: x[:, None], x)
      carry, y = apply(model, params, carry, *now)
      return quantised_carry(carry, levels), y[:, 0]

    carry, y = jax.lax.scan(step, carry, steps)
    return carry, jnp.moveaxis(y, 0, 1)

  return jax.vmap(one)(params_N, carry_N, levels_N)
