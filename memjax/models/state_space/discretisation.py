"""Continuous complex units as steps, with inputs held constant over a step.

h' = Lambda h + u,   Lambda = -rate + i speed
lambda = exp(Lambda dt)
h_t = lambda h_(t-1) + ((lambda - 1) / Lambda) u_t         zero-order hold
"""

import jax
import jax.numpy as jnp
import numpy as np

from memjax.ops.diagonal import complex_product

LEAST_STEP, LARGEST_STEP = 0.001, 0.1


def zero_order_hold(
  rate: jax.Array, speed: jax.Array, dt: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """|lambda|, its angle, and the factor of inputs, a complex with last axis 2.

  Args:
    rate: above 0.
    speed: of rotation, in radians for each unit of time.
    dt: length of a step, of the same shape.
  """
  modulus, angle = jnp.exp(-rate * dt), speed * dt
  # The real part of lambda - 1 is small; written so, it keeps its digits.
  real = jnp.expm1(-rate * dt) * jnp.cos(angle)
  real -= 2 * jnp.square(jnp.sin(angle / 2))
  change = jnp.stack([real, modulus * jnp.sin(angle)], axis=-1)
  conjugate = jnp.stack([-rate, -speed], axis=-1)
  squared = jnp.square(rate) + jnp.square(speed)
  return modulus, angle, complex_product(change, conjugate) / squared[..., None]


def draw_log_step(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """log dt, with dt log-uniform in [0.001, 0.1]."""
  low, high = np.log(LEAST_STEP), np.log(LARGEST_STEP)
  return jax.random.uniform(key, shape, jnp.float32, low, high)
