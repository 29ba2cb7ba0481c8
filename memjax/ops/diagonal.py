"""Linear recurrences of single units.

    h_t = a_t h_(t-1) + x_t                            `diagonal`
    h_t = a_t exp(i angle_t) h_(t-1) + x_t             `rotating`, complex h

The gradients are recurrences of the same kind that run backwards,

    d_t = dy_t + conj(a_(t+1)) d_(t+1),   da_t = conj(h_(t-1)) d_t,   dx_t = d_t

so only a and h are kept for the backward pass. Factors that are the same at
every step have no axis of time, and no array of T of them is made. Complex
numbers are pairs of reals, last axis 2: on a CPU complex arrays are slower.

A CPU reads step after step. An NVIDIA GPU does so inside of one kernel,
`ops/diagonal_kernel.py`. Other devices, where T small launches cost more than
T log T products, combine steps in a tree: (a, x) then (b, y) is (a b, b x + y).
All give the same to round-off.

Cost per step: 1 multiplication a unit, 3 with the backward pass; 4 and 12 for
complex units.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops import diagonal_kernel
from memjax.ops.precision import widened


class Numbers(NamedTuple):
  """What the units are.

  Attributes:
    times: the product of two.
    conjugate: what stands for the factor in the gradient.
    parts: 1 for reals, 2 for pairs of reals on the last axis.
  """

  times: Callable[[jax.Array, jax.Array], jax.Array]
  conjugate: Callable[[jax.Array], jax.Array]
  parts: int


def diagonal(
  h_BD: Float[Array, 'B *D'],
  decay: Float[Array, '...'],
  x_BTD: Float[Array, 'B T *D'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B *D'], Float[Array, 'B T *D']]:
  """Reads T steps of real units.

  Args:
    h_BD: the state before.
    decay: a, `(B, T, *D)`, or `(*D)` if it is the same for all steps and rows.
    x_BTD: what is added.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and h of every step.
  """
  a, x_BTD = widened(decay), widened(x_BTD)
  return _read(REAL, h_BD, a, x_BTD, reset_BT)


def rotating(
  h_BD2: Float[Array, 'B *D 2'],
  decay: Float[Array, '...'],
  angle: Float[Array, '...'],
  x_BTD2: Float[Array, 'B T *D 2'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B *D 2'], Float[Array, 'B T *D 2']]:
  """Reads T steps of complex units, (real part, imaginary part).

  Args:
    h_BD2: the state before.
    decay: the moduli of a, `(B, T, *D)`, or `(*D)` as in `diagonal`.
    angle: their angles in radians, of the same shape.
    x_BTD2: what is added.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and h of every step.
  """
  decay, angle, x_BTD2 = (widened(a) for a in (decay, angle, x_BTD2))
  turn = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
  factor = decay[..., None] * turn
  return _read(COMPLEX, h_BD2, factor, x_BTD2, reset_BT)


def complex_product(a: jax.Array, b: jax.Array) -> jax.Array:
  """The product of complex numbers that are pairs of reals, last axis 2."""
  (a_re, a_im), (b_re, b_im) = (jnp.moveaxis(z, -1, 0) for z in (a, b))
  return jnp.stack(
    [a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re], axis=-1
  )


def _same(a: jax.Array) -> jax.Array:
  return a


def _conjugate(a: jax.Array) -> jax.Array:
  return jnp.stack([a[..., 0], -a[..., 1]], axis=-1)


REAL = Numbers(jnp.multiply, _same, 1)
COMPLEX = Numbers(complex_product, _conjugate, 2)


def _read(
  numbers: Numbers,
  h_BD: jax.Array,
  a: jax.Array,
  x_BTD: jax.Array,
  reset_BT: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Puts time first, and back. Factors without time get axes of length 1."""
  constant = a.ndim < x_BTD.ndim
  a_TBD = a[None, None] if constant else jnp.swapaxes(a, 0, 1)
  reset_TBD = reset_BT.T.reshape(reset_BT.T.shape + (1,) * (h_BD.ndim - 1))
  x_TBD = jnp.swapaxes(x_BTD, 0, 1)
  h_TBD = _recur(numbers, h_BD, a_TBD, x_TBD, reset_TBD)
  return h_TBD[-1], jnp.swapaxes(h_TBD, 0, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recur(
  numbers: Numbers,
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
  reset_TBD: jax.Array,
) -> jax.Array:
  """h of every step."""
  return _states(numbers, h_BD, a_TBD, x_TBD, reset_TBD, reverse=False)


def _forward(
  numbers: Numbers,
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
  reset_TBD: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  h_TBD = _recur(numbers, h_BD, a_TBD, x_TBD, reset_TBD)
  return h_TBD, (h_BD, a_TBD, reset_TBD, h_TBD)


def _backward(
  numbers: Numbers,
  kept: tuple[jax.Array, ...],
  d_h_TBD: jax.Array,
) -> tuple[jax.Array | None, ...]:
  h_BD, a_TBD, reset_TBD, h_TBD = kept
  back_TBD = numbers.conjugate(a_TBD)
  d_TBD = _states(
    numbers,
    jnp.zeros_like(h_BD),
    _ahead(back_TBD),
    d_h_TBD,
    _ahead(reset_TBD),
    reverse=True,
  )
  before_TBD = jnp.concatenate([h_BD[None], h_TBD[:-1]])
  before_TBD = jnp.where(reset_TBD, 0, before_TBD)
  d_a_TBD = numbers.times(numbers.conjugate(before_TBD), d_TBD)
  shared = tuple(axis for axis in (0, 1) if a_TBD.shape[axis] == 1)
  d_a_TBD = d_a_TBD.sum(shared, keepdims=True)
  d_h_BD = numbers.times(back_TBD[0], d_TBD[0])
  d_h_BD = jnp.where(reset_TBD[0], 0, d_h_BD)
  return d_h_BD, d_a_TBD, d_TBD, None


_recur.defvjp(_forward, _backward)


def _ahead(x_TBD: jax.Array) -> jax.Array:
  """That of the next step; after the last any will do, for its d is 0."""
  return jnp.concatenate([x_TBD[1:], x_TBD[:1]])


def _states(
  numbers: Numbers,
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
  reset_TBD: jax.Array,
  *,
  reverse: bool,
) -> jax.Array:
  """h of every step, in the order of the steps."""
  times, constant = numbers.times, len(a_TBD) != len(x_TBD)

  def in_turn(
    h_BD: jax.Array, a: jax.Array, x: jax.Array, reset: jax.Array
  ) -> jax.Array:
    def step(h: jax.Array, now: tuple) -> tuple[jax.Array, jax.Array]:
      x, reset, *factor = now
      h = times(a[0] if constant else factor[0], jnp.where(reset, 0, h)) + x
      return h, h

    steps = (x, reset) if constant else (x, reset, a)
    return lax.scan(step, h_BD, steps, reverse=reverse)[1]

  def in_a_tree(
    h_BD: jax.Array, a: jax.Array, x: jax.Array, reset: jax.Array
  ) -> jax.Array:
    a = jnp.where(reset, 0, jnp.broadcast_to(a, x.shape))
    first = -1 if reverse else 0
    x = x.at[first].add(times(a[first], h_BD))

    def combine(one: tuple, two: tuple) -> tuple[jax.Array, jax.Array]:
      return times(two[0], one[0]), times(two[0], one[1]) + two[1]

    return lax.associative_scan(combine, (a, x), reverse=reverse)[1]

  return lax.platform_dependent(
    *(h_BD, a_TBD, x_TBD, reset_TBD),
    cpu=in_turn,
    cuda=functools.partial(diagonal_kernel.states, numbers.parts, reverse),
    default=in_a_tree,
  )
