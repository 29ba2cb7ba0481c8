"""Sentences to vectors: one step of a `Sentences` input becomes one vector.

A sentence is W word ids, then 0 as padding. J is the number of its words, j a
word's place, from 1, and e_j its embedding of width D.

    bag        s = sum_j e_j
    position   s = sum_j l_j * e_j,   l_kj = 1 + 4 (j/J - 1/2) (k/D - 1/2)
    mask       s = sum_j f_j * e_j,   f learned, D wide for each place
    attention  h_j = [GRU forward, GRU backward](e)_j,   D/2 wide each
               s = sum_j softmax_j(u · tanh(h_j W + b)) h_j

A sentence without words is zeros. An encoder reads within one step only, so a
memory of sentences stays causal even if an encoder reads both ways.

Papers: bag and position, Sukhbaatar et al. 2015, section 4.1,
https://arxiv.org/abs/1503.08895; mask, Henaff et al. 2017, section 2.1,
https://arxiv.org/abs/1612.03969; attention, Yang et al. 2016, section 2.2,
https://aclanthology.org/N16-1174.
Deviations: `position` is twice the paper's formula, as in widespread code, so
that the mean weight is 1 as in a bag; the GRU is `gru.GRU`, whose candidate has
one more bias.
"""

from collections.abc import Callable
from typing import TypeAlias

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.models.dense import Dense
from memjax.models.recurrent.gru import GRU
from memjax.ops.tiled_attention import UNSEEN

Words: TypeAlias = Float[Array, '*n W D']
Present: TypeAlias = Bool[Array, '*n W']
Vectors: TypeAlias = Float[Array, '*n D']


def bag_of_words(words: Words, present: Present) -> Vectors:
  """The sum of the embeddings of the words that are present."""
  return _weighted(words, present.astype(words.dtype))


def position_encoding(words: Words, present: Present) -> Vectors:
  """The sum of the embeddings, with weights that depend on their order.

  The weight of word j is 1 + a_j b_k, so two weighted sums are enough, and no
  array of weights has the size of the embeddings.

  Args:
    words: the embeddings, in any floating type; the sum has it too.
    present: False where there is padding; j counts the other words.

  Returns:
    One vector for each sentence; zeros for one without words.
  """
  place = jnp.cumsum(present, axis=-1)
  part = place / jnp.maximum(place[..., -1:], 1)
  late = jnp.where(present, 2 * part - 1, 0).astype(words.dtype)
  width = words.shape[-1]
  slope = 2 * jnp.arange(1, width + 1, dtype=words.dtype) / width - 1
  lean = _weighted(words, late)
  return bag_of_words(words, present) + lean * jnp.broadcast_to(
    slope, lean.shape
  )


class LearnedMask(nn.Module):
  """A weight for each place and channel, initially a bag of words."""

  @nn.compact
  def __call__(self, words: Words, present: Present) -> Vectors:
    mask_WD = self.param('mask', nn.initializers.ones, words.shape[-2:])
    return bag_of_words(words * jnp.broadcast_to(mask_WD, words.shape), present)


class Scores(nn.Module):
  """The score of each vector, u · tanh(h W + b), in float32."""

  @nn.compact
  def __call__(self, h: Vectors) -> Float[Array, '*n']:
    width = h.shape[-1]
    view = jnp.tanh(Dense(width, name='view')(h))
    draw = nn.initializers.normal(width**-0.5)
    context_D = self.param('context', draw, (width,))
    return jnp.matmul(view, context_D, preferred_element_type=jnp.float32)


class WordAttention(nn.Module):
  """Reads a sentence in both directions and attends to its words.

  D must be even. The matrix products have the type of the parameters, the
  states of the GRU and the softmax are float32.
  """

  @nn.compact
  def __call__(self, words: Words, present: Present) -> Vectors:
    *leading, length, width = words.shape
    e_NWD = words.reshape(-1, length, width)
    present_NW = present.reshape(-1, length)

    def read(name: str, e_NWD: jax.Array, present_NW: jax.Array) -> jax.Array:
      gru = GRU(width // 2, name=name)
      begins_NW = jnp.roll(~present_NW, 1, axis=1)
      return gru(gru.initial_carry(len(e_NWD)), e_NWD, begins_NW)[1]

    forward = read('forward', e_NWD, present_NW)
    backward = read('backward', e_NWD[:, ::-1], present_NW[:, ::-1])[:, ::-1]
    h_NWD = jnp.concatenate([forward, backward], axis=-1)
    score_NW = jnp.where(present_NW, Scores(name='scores')(h_NWD), UNSEEN)
    weight_NW = jnp.where(present_NW, jax.nn.softmax(score_NW, axis=1), 0)
    s_ND = _weighted(h_NWD, weight_NW.astype(h_NWD.dtype))
    return s_ND.reshape(*leading, width)


def _weighted(words: jax.Array, weights: jax.Array) -> jax.Array:
  return (words * weights[..., None]).sum(-2)


ENCODERS: dict[str, Callable[[Words, Present], Vectors]] = {
  'bag': bag_of_words,
  'position': position_encoding,
  'mask': lambda *sentence: LearnedMask(name='mask')(*sentence),
  'attention': lambda *sentence: WordAttention(name='attention')(*sentence),
}
