"""The type in which operations sum.

Inputs may be bfloat16 or float16. Sums over steps and over channels are float32
at least, and so are states and logarithms of decays.
"""

import jax
import jax.numpy as jnp


def widened(x: jax.Array) -> jax.Array:
  """The array in float32 if its floats are shorter, else as it is."""
  floats = jnp.issubdtype(x.dtype, jnp.floating)
  return x.astype(jnp.float32) if floats and x.dtype.itemsize < 4 else x
