"""Sentences to vectors: what one step of a `Sentences` input says.

A sentence is W word ids, of which 0 is no word. J counts its words; j, from 1,
is a word's place among them, and e_j its embedding.

    bag       s = sum_j e_j
    position  s = sum_j l_j * e_j,  l_kj = (1 - j/J) - (k/D) (1 - 2j/J)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def bag_of_words(
  words: Float[Array, '*n W D'], present: Bool[Array, '*n W']
) -> Float[Array, '*n D']:
  """The sum of the embeddings of the words that are present."""
  return _weighted(words, present.astype(words.dtype))


def position_encoding(
  words: Float[Array, '*n W D'], present: Bool[Array, '*n W']
) -> Float[Array, '*n D']:
  """The sum of the embeddings, weighted so that it tells their order.

  Sukhbaatar et al. 2015, section 4.1, with J the sentence's own words. The
  weight is a_j - (k/D) b_j, so two weighted sums are all it takes.

  Args:
    words: the embeddings, in any floating type; the sum has it too.
    present: False where there is no word.

  Returns:
    One vector for each sentence; zeros for an empty one.
  """
  place = jnp.cumsum(present, axis=-1)
  part = place / jnp.maximum(place[..., -1:], 1)

  def weighted(weights: jax.Array) -> jax.Array:
    return _weighted(words, jnp.where(present, weights, 0).astype(words.dtype))

  width = words.shape[-1]
  slope = weighted(1 - 2 * part)
  share = jnp.arange(1, width + 1, dtype=words.dtype) / width
  return weighted(1 - part) - slope * jnp.broadcast_to(share, slope.shape)


def _weighted(words: jax.Array, weights: jax.Array) -> jax.Array:
  return (words * weights[..., None]).sum(-2)
