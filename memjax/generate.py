"""Text from a trained memory: the carry is the only context.

A prompt is read in one call, then each token costs one step, the ten
thousandth no more than the tenth, in constant memory.
"""

from collections.abc import Iterator
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.types import Carry, Params


def generate(
  model: Memory,
  params: Params,
  prompt: np.ndarray,
  *,
  temperature: float = 1.0,
  seed: int = 0,
) -> Iterator[int]:
  """Tokens that follow the prompt, without end.

  Args:
    model: a model from tokens to logits.
    params: its parameters.
    prompt: `(T,)` token ids, at least one.
    temperature: of the softmax that tokens are drawn from; 0 takes the most
      likely token.
    seed: of the draws, at least 0.

  Raises:
    ConfigError: the prompt is empty or no row of ids, the temperature or the
      seed negative or too large.
  """
  shape = np.shape(prompt)
  require(len(shape) == 1, 'prompt', shape, 'must be (T,) token ids')
  require(shape[0] > 0, 'prompt', '', 'must hold at least one token')
  require(
    0 <= temperature < math.inf,
    'temperature',
    temperature,
    'must be a finite number, at least 0',
  )
  require(0 <= seed < 2**32, 'seed', seed, 'must be at least 0, below 2^32')
  return _follow(model, params, prompt, temperature, seed)


def _follow(
  model: Memory,
  params: Params,
  prompt: np.ndarray,
  temperature: float,
  seed: int,
) -> Iterator[int]:
  carry, key = model.initial_carry(1), jax.random.key(seed)
  ids = jnp.asarray(prompt, jnp.int32)[None]
  reset_BT = jnp.arange(ids.shape[1])[None] == 0
  no_reset_BT = jnp.zeros((1, 1), bool)
  while True:
    carry, key, ids = _read_and_draw(
      model, params, carry, key, ids, reset_BT, temperature
    )
    reset_BT = no_reset_BT
    yield ids.item()


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _read_and_draw(
  model: Memory,
  params: Params,
  carry: Carry,
  key: jax.Array,
  ids: jax.Array,
  reset_BT: jax.Array,
  temperature: jax.Array,
) -> tuple[Carry, jax.Array, jax.Array]:
  """Reads the ids and draws the next, `(1, 1)`, from softmax(logits / t).

  That is the largest of logits + t gumbel, which at t = 0 is the most likely
  token, without a case of its own.
  """
  key, now = jax.random.split(key)
  carry, logits_BTV = apply(model, params, carry, ids, reset_BT)
  logits_BV = logits_BTV[:, -1]
  gumbel_BV = jax.random.gumbel(now, logits_BV.shape, logits_BV.dtype)
  drawn_B = jnp.argmax(logits_BV + temperature * gumbel_BV, axis=-1)
  return carry, key, drawn_B[:, None]
