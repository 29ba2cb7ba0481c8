"""Generates tokens from a trained memory; the carry is the only context.

A text in progress is a `State`, a value: it can be stored, saved, and continued
more than once. Each token costs one step in constant memory, at any position.
A prompt is read in pieces of equal length, and the remainder step by step. So
two compiled programs serve texts of any length.
"""

from collections.abc import Iterator
import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.generation.sampler import (
  UNFILTERED,
  SamplerConfig,
  SamplerParams,
  sample_token,
)
from memjax.models.base import Memory, apply
from memjax.types import Carry, Params

PIECE = 128  # tokens of a prompt that one call reads
BLOCK_SECONDS = 0.05  # target time of one block of generated tokens


class State(NamedTuple):
  """All that the continuation of a text depends on, except the parameters.

  Attributes:
    carry: the memory of everything before `token`, of one row.
    token: () int32, the last token of the text, which is not read yet.
    key: the random key of the tokens to come.
  """

  carry: Carry
  token: jax.Array
  key: jax.Array


def prefill(
  model: Memory, params: Params, prompt: np.ndarray, seed: int = 0
) -> State:
  """The state after a prompt.

  Args:
    model: a causal model from tokens to logits.
    params: its parameters.
    prompt: `(T,)` token ids, at least one.
    seed: the seed of the tokens to come, at least 0.

  Raises:
    ConfigError: the model is not causal, the prompt is empty or not one row of
      ids, or the seed is out of range.
  """
  require(
    model.causal,
    'model',
    type(model).__name__,
    'reads later inputs too; only a causal model generates text',
  )
  ids = _row(prompt)
  require(len(ids) > 0, 'prompt', '', 'must hold at least one token')
  state = State(model.initial_carry(1), jnp.asarray(ids[0]), key_of(seed))
  return extend(model, params, state, ids[1:])


def key_of(seed: int) -> jax.Array:
  """The random key of a seed.

  Raises:
    ConfigError: the seed is negative or too large.
  """
  require(0 <= seed < 2**32, 'seed', seed, 'must be at least 0, below 2^32')
  return jax.random.key(seed)


def extend(
  model: Memory, params: Params, state: State, ids: np.ndarray
) -> State:
  """The state after these `(T,)` token ids are appended to the text.

  Raises:
    ConfigError: the ids are not one row.
  """
  text = np.append(np.int32(state.token), _row(ids))
  in_pieces = (len(text) - 1) // PIECE * PIECE
  carry = state.carry
  for at in range(0, in_pieces, PIECE):
    carry = _read_piece(model, params, carry, text[None, at : at + PIECE])
  state = State(carry, jnp.asarray(text[in_pieces]), state.key)
  rest = text[in_pieces + 1 :]
  if not len(rest):
    return state
  padded = np.zeros(PIECE, np.int32)
  padded[: len(rest)] = rest
  count, sampler = np.int32(len(rest)), UNFILTERED.params()
  return _decode(model, params, state, padded, count, count, sampler)[0]


def generate(
  model: Memory,
  params: Params,
  state: State,
  length: int,
  config: SamplerConfig = UNFILTERED,
) -> Iterator[tuple[np.ndarray, State]]:
  """Generates `length` tokens in blocks.

  The first block has one token. Later blocks grow until one takes about
  `BLOCK_SECONDS`: within a block the device does not wait for Python. The
  block boundaries change no token.

  Returns:
    For each block its `(T,)` tokens, and the state after it.

  Raises:
    ConfigError: the length is below 1.
  """
  require(length >= 1, 'length', length, 'must be at least 1')
  return _blocks(model, params, state, length, config)


def _blocks(
  model: Memory,
  params: Params,
  state: State,
  length: int,
  config: SamplerConfig,
) -> Iterator[tuple[np.ndarray, State]]:
  sampler, no_ids = config.params(), np.zeros(PIECE, np.int32)
  count = 1
  while length:
    count = min(count, length)
    start = time.monotonic()
    state, text_T = _decode(
      model, params, state, no_ids, np.int32(0), np.int32(count), sampler
    )
    tokens = np.asarray(text_T)[:count]
    length -= count
    if 2 * (time.monotonic() - start) < BLOCK_SECONDS:
      count = min(2 * count, PIECE)
    yield tokens, state


@functools.partial(jax.jit, static_argnums=0)
def _read_piece(
  model: Memory, params: Params, carry: Carry, ids: jax.Array
) -> Carry:
  reset_BT = jnp.zeros(ids.shape, bool)
  return apply(model, params, carry, ids, reset_BT)[0]


@functools.partial(jax.jit, static_argnums=0)
def _decode(
  model: Memory,
  params: Params,
  state: State,
  text_T: jax.Array,
  known: jax.Array,
  count: jax.Array,
  sampler: SamplerParams,
) -> tuple[State, jax.Array]:
  """Appends `count` tokens: the first `known` of `text_T`, then samples."""
  no_reset_BT = jnp.zeros((1, 1), bool)

  def step(
    i: jax.Array, loop: tuple[State, jax.Array]
  ) -> tuple[State, jax.Array]:
    state, text_T = loop
    ids = state.token[None, None]
    carry, logits_BTV = apply(model, params, state.carry, ids, no_reset_BT)
    next_key, key = jax.random.split(state.key)
    sampled = sample_token(key, logits_BTV[0, 0], sampler)
    token = jnp.where(i < known, text_T[i], sampled)
    next_key = jnp.where(i < known, state.key, next_key)
    return State(carry, token, next_key), text_T.at[i].set(token)

  return jax.lax.fori_loop(0, count, step, (state, text_T))


def _row(ids: np.ndarray) -> np.ndarray:
  shape = np.shape(ids)
  require(len(shape) == 1, 'prompt', shape, 'must be (T,) token ids')
  return np.asarray(ids, np.int32)
