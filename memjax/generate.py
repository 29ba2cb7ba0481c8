"""Text from a trained memory: the carry is the only context.

A prompt is read in one call, then each token costs one step, the ten
thousandth no more than the tenth, in constant memory.
"""

from collections.abc import Iterator
import functools

import jax
import jax.numpy as jnp
import numpy as np

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
    temperature: divides the logits; 0 takes the most likely token.
    seed: of the draws.
  """
  key = jax.random.key(seed)
  carry = model.initial_carry(1)
  ids = jnp.asarray(prompt, jnp.int32)[None]
  reset_BT = jnp.zeros(ids.shape, bool).at[:, 0].set(True)
  draw = functools.partial(_read_and_draw, model, temperature)
  while True:
    key, now = jax.random.split(key)
    carry, ids = draw(params, carry, ids, reset_BT, now)
    reset_BT = jnp.zeros((1, 1), bool)
    yield int(ids[0, 0])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _read_and_draw(
  model: Memory,
  temperature: float,
  params: Params,
  carry: Carry,
  ids: jax.Array,
  reset_BT: jax.Array,
  key: jax.Array,
) -> tuple[Carry, jax.Array]:
  carry, logits_BTV = apply(model, params, carry, ids, reset_BT)
  logits_BV = logits_BTV[:, -1]
  if temperature == 0:
    return carry, jnp.argmax(logits_BV, -1)[:, None]
  drawn_B = jax.random.categorical(key, logits_BV / temperature)
  return carry, drawn_B[:, None]
