"""Linear recurrences of single units, whose decays change from step to step.

    h_t = a_t h_(t-1) + x_t                            `diagonal`
    h_t = a_t exp(i angle_t) h_(t-1) + x_t             `rotating`, complex h

The gradients are recurrences of the same kind that run backwards,

    d_t = dy_t + conj(a_(t+1)) d_(t+1),   da_t = conj(h_(t-1)) d_t,   dx_t = d_t

so only a and h are kept for the backward pass. A reset is a decay of 0. Complex
numbers are pairs of reals, last axis 2: on a CPU complex arrays are slower.

A CPU reads step after step. Other devices, where T small launches cost more
than T log T products, combine steps in a tree: (a, x) then (b, y) is
(a b, b x + y). Both give the same to round-off.

Cost per step: 1 multiplication a unit, 3 with the backward pass; 4 and 12 for
complex units.
"""

from collections.abc import Callable
import functools

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Product = Callable[[jax.Array, jax.Array], jax.Array]


def diagonal(
  h_BD: Float[Array, 'B *D'],
  decay_BTD: Float[Array, 'B T *D'],
  x_BTD: Float[Array, 'B T *D'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B *D'], Float[Array, 'B T *D']]:
  """Reads T steps of real units.

  Args:
    h_BD: the state before.
    decay_BTD: a.
    x_BTD: what is added.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and h of every step.
  """
  return _read(jnp.multiply, _same, h_BD, decay_BTD, x_BTD, reset_BT)


def rotating(
  h_BD2: Float[Array, 'B *D 2'],
  decay_BTD: Float[Array, 'B T *D'],
  angle_BTD: Float[Array, 'B T *D'],
  x_BTD2: Float[Array, 'B T *D 2'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B *D 2'], Float[Array, 'B T *D 2']]:
  """Reads T steps of complex units, (real part, imaginary part).

  Args:
    h_BD2: the state before.
    decay_BTD: a, the moduli of the factors.
    angle_BTD: their angles, in radians.
    x_BTD2: what is added.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and h of every step.
  """
  turn = jnp.stack([jnp.cos(angle_BTD), jnp.sin(angle_BTD)], axis=-1)
  factor_BTD2 = decay_BTD[..., None] * turn
  return _read(_times, _conjugate, h_BD2, factor_BTD2, x_BTD2, reset_BT)


def _same(a: jax.Array) -> jax.Array:
  return a


def _times(a: jax.Array, b: jax.Array) -> jax.Array:
  """The product of complex numbers."""
  (a_re, a_im), (b_re, b_im) = (jnp.moveaxis(z, -1, 0) for z in (a, b))
  return jnp.stack(
    [a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re], axis=-1
  )


def _conjugate(a: jax.Array) -> jax.Array:
  return jnp.stack([a[..., 0], -a[..., 1]], axis=-1)


def _read(
  times: Product,
  conjugate: Callable[[jax.Array], jax.Array],
  h_BD: jax.Array,
  a: jax.Array,
  x: jax.Array,
  reset_BT: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Steps first, resets as decays of 0, and back."""
  reset = reset_BT.reshape(reset_BT.shape + (1,) * (a.ndim - 2))
  a_TBD = jnp.swapaxes(jnp.where(reset, 0, a), 0, 1)
  h_TBD = _recur(times, conjugate, h_BD, a_TBD, jnp.swapaxes(x, 0, 1))
  return h_TBD[-1], jnp.swapaxes(h_TBD, 0, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recur(
  times: Product,
  conjugate: Callable[[jax.Array], jax.Array],
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
) -> jax.Array:
  """h of every step."""
  del conjugate
  return _states(times, h_BD, a_TBD, x_TBD, reverse=False)


def _forward(
  times: Product,
  conjugate: Callable[[jax.Array], jax.Array],
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  h_TBD = _recur(times, conjugate, h_BD, a_TBD, x_TBD)
  return h_TBD, (h_BD, a_TBD, h_TBD)


def _backward(
  times: Product,
  conjugate: Callable[[jax.Array], jax.Array],
  kept: tuple[jax.Array, ...],
  d_h_TBD: jax.Array,
) -> tuple[jax.Array, ...]:
  h_BD, a_TBD, h_TBD = kept
  back_TBD = conjugate(a_TBD)
  # The step after the last has no decay: any will do, its d is 0.
  ahead_TBD = jnp.concatenate([back_TBD[1:], back_TBD[:1]])
  zero_BD = jnp.zeros_like(h_BD)
  d_TBD = _states(times, zero_BD, ahead_TBD, d_h_TBD, reverse=True)
  before_TBD = jnp.concatenate([h_BD[None], h_TBD[:-1]])
  return (
    times(back_TBD[0], d_TBD[0]),
    times(conjugate(before_TBD), d_TBD),
    d_TBD,
  )


_recur.defvjp(_forward, _backward)


def _states(
  times: Product,
  h_BD: jax.Array,
  a_TBD: jax.Array,
  x_TBD: jax.Array,
  *,
  reverse: bool,
) -> jax.Array:
  """h of every step, in the order of the steps."""

  def in_turn(h_BD: jax.Array, a: jax.Array, x: jax.Array) -> jax.Array:
    def step(h: jax.Array, now: tuple) -> tuple[jax.Array, jax.Array]:
      h = times(now[0], h) + now[1]
      return h, h

    return lax.scan(step, h_BD, (a, x), reverse=reverse)[1]

  def in_a_tree(h_BD: jax.Array, a: jax.Array, x: jax.Array) -> jax.Array:
    first = -1 if reverse else 0
    x = x.at[first].add(times(a[first], h_BD))

    def combine(one: tuple, two: tuple) -> tuple[jax.Array, jax.Array]:
      return times(two[0], one[0]), times(two[0], one[1]) + two[1]

    return lax.associative_scan(combine, (a, x), reverse=reverse)[1]

  return lax.platform_dependent(
    h_BD, a_TBD, x_TBD, cpu=in_turn, default=in_a_tree
  )
