"""Spans of attention that gradients move: soft masks, bounds and penalties.

A mask goes from 1 to 0 over the `ramp` distances beyond a span,

    m = min(max(1 + (span - distance) / ramp, 0), 1)

and multiplies the weights of attention before they are divided by their sum.
So log m is added to the scores.
"""

import functools

import jax
import jax.numpy as jnp

NEVER = -1e9  # a score whose weight is 0


def log_mask(span: jax.Array, distance: jax.Array, ramp: int) -> jax.Array:
  """log m, float32; NEVER where m is 0, with no gradient there."""
  mask = jnp.clip(1 + (span - distance) / ramp, 0, 1)
  seen = mask > 0
  return jnp.where(seen, jnp.log(jnp.where(seen, mask, 1)), NEVER)


@jax.custom_vjp
def clamped(x: jax.Array) -> jax.Array:
  """x in [0, 1]; beyond a bound the gradient may only lead back.

  So an optimiser moves x as if x were clamped after each step.
  """
  return jnp.clip(x, 0, 1)


def _clamped(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  return jnp.clip(x, 0, 1), x


def _clamped_gradient(x: jax.Array, g: jax.Array) -> tuple[jax.Array]:
  outward = ((x <= 0) & (g > 0)) | ((x >= 1) & (g < 0))
  return (jnp.where(outward, 0, g),)


clamped.defvjp(_clamped, _clamped_gradient)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def penalised(x: jax.Array, amount: float) -> jax.Array:
  """x, whose gradient is that of the loss plus `amount` times the sum of x.

  A memory cannot add to the loss of its task, but to a gradient.
  """
  del amount
  return x


def _penalised(x: jax.Array, amount: float) -> tuple[jax.Array, None]:
  del amount
  return x, None


def _penalised_gradient(
  amount: float, kept: None, g: jax.Array
) -> tuple[jax.Array]:
  del kept
  return (g + jnp.asarray(amount, g.dtype),)


penalised.defvjp(_penalised, _penalised_gradient)
