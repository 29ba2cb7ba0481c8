"""Where heads look in a memory of slots, and what they do there.

Source: Graves, Wayne & Danihelka 2014, https://arxiv.org/abs/1410.5401,
sections 3.1-3.3; the content look-up serves its descendants as well. A memory
has M slots of width K; each of H heads has a weighting over the slots, M
numbers that are not negative and sum to 1. All arrays are float32.
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = (
  1e-6  # added to squared norms: a vector shorter than 1e-3 is like none
)


def content_weights(
  key_BHK: Float[Array, 'B H K'],
  strength_BH: Float[Array, 'B H'],
  memory_BMK: Float[Array, 'B M K'],
) -> Float[Array, 'B H M']:
  """Softmax over the slots of strength times cosine similarity, eqs. 5 and 6.

  The cosine of u and v is u · v / sqrt((u · u + EPSILON) (v · v + EPSILON)):
  0 where one of them is zero, with finite gradients there.
  """
  dots_BHM = jnp.einsum('bhk,bmk->bhm', key_BHK, memory_BMK)
  scale_BH = strength_BH * _inverse_length(key_BHK)
  scores_BHM = scale_BH[:, :, None] * dots_BHM
  return jax.nn.softmax(
    scores_BHM * _inverse_length(memory_BMK)[:, None, :], axis=-1
  )


def _inverse_length(x: jax.Array) -> jax.Array:
  """1 over the length of each vector along the last axis."""
  return lax.rsqrt((x * x).sum(-1) + EPSILON)


def interpolate(
  gate_BH: Float[Array, 'B H'],
  content_BHM: Float[Array, 'B H M'],
  before_BHM: Float[Array, 'B H M'],
) -> Float[Array, 'B H M']:
  """The content's weighting as far as the gate is 1, else the last, eq. 7."""
  gate_BH1 = gate_BH[:, :, None]
  return gate_BH1 * content_BHM + (1 - gate_BH1) * before_BHM


def shift(
  weights_BHM: Float[Array, 'B H M'], shifts_BHR: Float[Array, 'B H R']
) -> Float[Array, 'B H M']:
  """Rotates each weighting by a distribution over shifts, eq. 8.

  Args:
    weights_BHM: weightings.
    shifts_BHR: how likely each of the shifts -S ... S is, R = 2 S + 1. A shift
      by d moves what lies in slot m to slot m + d; the last slot's neighbour
      is the first.
  """
  count = shifts_BHR.shape[2]
  rotated = [
    shifts_BHR[:, :, i, None] * jnp.roll(weights_BHM, i - count // 2, axis=2)
    for i in range(count)
  ]
  return sum(rotated[1:], rotated[0])


def sharpen(
  weights_BHM: Float[Array, 'B H M'], power_BH: Float[Array, 'B H']
) -> Float[Array, 'B H M']:
  """Raises weightings to powers of at least 1, sums restored to 1, eq. 9.

  Divided by the largest weight first, which changes neither value nor gradient
  but keeps the sum above 1 where every power alone would underflow to 0.
  """
  top_BH1 = lax.stop_gradient(weights_BHM.max(axis=-1, keepdims=True))
  powers_BHM = (weights_BHM / top_BH1) ** power_BH[:, :, None]
  return powers_BHM / powers_BHM.sum(axis=-1, keepdims=True)


def read(
  weights_BHM: Float[Array, 'B H M'], memory_BMK: Float[Array, 'B M K']
) -> Float[Array, 'B H K']:
  """What each head sees, the weighted sum of the slots, eq. 2."""
  return jnp.einsum('bhm,bmk->bhk', weights_BHM, memory_BMK)


def write(
  memory_BMK: Float[Array, 'B M K'],
  weights_BHM: Float[Array, 'B H M'],
  erase_BHK: Float[Array, 'B H K'],
  add_BHK: Float[Array, 'B H K'],
) -> Float[Array, 'B M K']:
  """The memory after all heads erased, then all heads added, eqs. 3 and 4.

  Args:
    memory_BMK: before.
    weights_BHM: where each head writes.
    erase_BHK: in [0, 1], the part of each element that a head takes away.
    add_BHK: what each head adds.
  """
  for head in range(weights_BHM.shape[1]):
    erased_BMK = weights_BHM[:, head, :, None] * erase_BHK[:, head, None, :]
    memory_BMK = memory_BMK * (1 - erased_BMK)
  return memory_BMK + jnp.einsum('bhm,bhk->bmk', weights_BHM, add_BHK)
