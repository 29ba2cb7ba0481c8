"""Tokens from a trained memory: the carry is the only context.

A text under way is a `State`, a value: it can be kept, saved, and gone on from
more than once. Each token costs one step, the ten thousandth no more than the
tenth, in constant memory. A prompt is read in pieces of one length, its rest
step by step, so that two programs read and continue texts of any length.
"""

from collections.abc import Iterator
import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.generation.sampler import ANY, Choice, Knobs, draw
from memjax.models.base import Memory, apply
from memjax.types import Carry, Params

PIECE = 128  # tokens of a prompt read by one call
BLOCK_SECONDS = 0.05  # of tokens that come together


class State(NamedTuple):
  """All that the continuation of a text depends on, but for the parameters.

  Attributes:
    carry: the memory of everything before `token`, of one row.
    token: () int32, the last token of the text, not read yet.
    key: of the draws to come.
  """

  carry: Carry
  token: jax.Array
  key: jax.Array


def begin(
  model: Memory, params: Params, prompt: np.ndarray, seed: int = 0
) -> State:
  """A text that begins with the prompt.

  Args:
    model: a model from tokens to logits.
    params: its parameters.
    prompt: `(T,)` token ids, at least one.
    seed: of the draws, at least 0.

  Raises:
    ConfigError: the prompt is empty or no row of ids, or the seed is negative
      or too large.
  """
  ids = _row(prompt)
  require(len(ids) > 0, 'prompt', '', 'must hold at least one token')
  state = State(model.initial_carry(1), jnp.asarray(ids[0]), key_of(seed))
  return read(model, params, state, ids[1:])


def key_of(seed: int) -> jax.Array:
  """The key of a text's draws.

  Raises:
    ConfigError: the seed is negative or too large.
  """
  require(0 <= seed < 2**32, 'seed', seed, 'must be at least 0, below 2^32')
  return jax.random.key(seed)


def read(model: Memory, params: Params, state: State, ids: np.ndarray) -> State:
  """The text with these `(T,)` token ids added to it.

  Raises:
    ConfigError: the ids are no row.
  """
  text = np.append(np.int32(state.token), _row(ids))
  whole = (len(text) - 1) // PIECE * PIECE
  carry = state.carry
  for at in range(0, whole, PIECE):
    carry = _read(model, params, carry, text[None, at : at + PIECE])
  state = State(carry, jnp.asarray(text[whole]), state.key)
  rest = text[whole + 1 :]
  if not len(rest):
    return state
  padded = np.zeros(PIECE, np.int32)
  padded[: len(rest)] = rest
  count = np.int32(len(rest))
  return _step(model, params, state, padded, count, count, ANY.traced())[0]


def generate(
  model: Memory,
  params: Params,
  state: State,
  length: int,
  choice: Choice = ANY,
) -> Iterator[tuple[np.ndarray, State]]:
  """Tokens that follow the text, `length` in all, as they are drawn.

  They come in blocks, the first of one token, then as many as `BLOCK_SECONDS`
  allows: the device draws a block without waiting for Python. Where the blocks
  end changes no token.

  Returns:
    For each block its `(T,)` tokens, and the text's state after it.

  Raises:
    ConfigError: the length is below 1.
  """
  require(length >= 1, 'length', length, 'must be at least 1')
  return _blocks(model, params, state, length, choice)


def _blocks(
  model: Memory, params: Params, state: State, length: int, choice: Choice
) -> Iterator[tuple[np.ndarray, State]]:
  knobs, none = choice.traced(), np.zeros(PIECE, np.int32)
  count = 1
  while length:
    count = min(count, length)
    began = time.monotonic()
    state, text_T = _step(
      model, params, state, none, np.int32(0), np.int32(count), knobs
    )
    tokens = np.asarray(text_T)[:count]
    length -= count
    if 2 * (time.monotonic() - began) < BLOCK_SECONDS:
      count = min(2 * count, PIECE)
    yield tokens, state


@functools.partial(jax.jit, static_argnums=0)
def _read(model: Memory, params: Params, carry: Carry, ids: jax.Array) -> Carry:
  reset_BT = jnp.zeros(ids.shape, bool)
  return apply(model, params, carry, ids, reset_BT)[0]


@functools.partial(jax.jit, static_argnums=0)
def _step(
  model: Memory,
  params: Params,
  state: State,
  text_T: jax.Array,
  given: jax.Array,
  count: jax.Array,
  knobs: Knobs,
) -> tuple[State, jax.Array]:
  """Goes `count` tokens on; the first `given` are there, the rest is drawn."""
  no_reset_BT = jnp.zeros((1, 1), bool)

  def step(
    i: jax.Array, so_far: tuple[State, jax.Array]
  ) -> tuple[State, jax.Array]:
    state, text_T = so_far
    ids = state.token[None, None]
    carry, logits_BTV = apply(model, params, state.carry, ids, no_reset_BT)
    key, now = jax.random.split(state.key)
    drawn = draw(now, logits_BTV[0, 0], knobs)
    token = jnp.where(i < given, text_T[i], drawn)
    key = jnp.where(i < given, state.key, key)
    return State(carry, token, key), text_T.at[i].set(token)

  return jax.lax.fori_loop(0, count, step, (state, text_T))


def _row(ids: np.ndarray) -> np.ndarray:
  shape = np.shape(ids)
  require(len(shape) == 1, 'prompt', shape, 'must be (T,) token ids')
  return np.asarray(ids, np.int32)
