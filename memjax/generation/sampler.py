"""The next token: which may be drawn, and the draw."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require

TINY = np.finfo(np.float32).tiny


@dataclasses.dataclass(frozen=True)
class Choice:
  """From which distribution a token is drawn.

  First the temperature, then top-k (Fan et al. 2018,
  https://arxiv.org/abs/1805.04833), then among what is left the nucleus
  (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751). Of two tokens that
  are equally likely the smaller id comes first.

  Attributes:
    temperature: of the softmax; 0 takes the most likely token.
    top_k: only so many of the most likely tokens; 0 for all.
    top_p: only the fewest most likely tokens that have this much of the
      probability together; 1 for all.

  Raises:
    ConfigError: one of them is out of its range.
  """

  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0

  def __post_init__(self) -> None:
    require(
      0 <= self.temperature < math.inf,
      'temperature',
      self.temperature,
      'must be a finite number, at least 0',
    )
    require(
      0 <= self.top_k < 2**31,
      'top_k',
      self.top_k,
      'must be at least 0 (all), below 2^31',
    )
    require(
      0 < self.top_p <= 1,
      'top_p',
      self.top_p,
      'must be above 0, at most 1 (all)',
    )

  def traced(self) -> 'Knobs':
    """As arrays of fixed types: no value compiles a program of its own."""
    return Knobs(
      jnp.float32(self.temperature),
      jnp.int32(self.top_k),
      jnp.float32(self.top_p),
    )


ANY = Choice()


class Knobs(NamedTuple):
  """A Choice as scalar arrays."""

  temperature: jax.Array
  top_k: jax.Array
  top_p: jax.Array


def draw(key: jax.Array, logits_V: jax.Array, knobs: Knobs) -> jax.Array:
  """One token, () int32.

  A draw is the largest of logits + t gumbel: one of softmax(logits / t), and
  at t = 0 the most likely token, without a case of its own.
  """
  order_V, logits_V = cut(logits_V.astype(jnp.float32), knobs)
  gumbel_V = jax.random.gumbel(key, logits_V.shape)
  return order_V[jnp.argmax(logits_V + knobs.temperature * gumbel_V)]


def cut(logits_V: jax.Array, knobs: Knobs) -> tuple[jax.Array, jax.Array]:
  """The tokens from the most likely on, and their logits, -inf if cut off.

  The shapes do not depend on how many are kept, so one program serves all.
  """
  temperature, top_k, top_p = knobs
  order_V = jnp.argsort(-logits_V, stable=True)
  logits_V = logits_V[order_V]
  most = (top_k == 0) | (jnp.arange(logits_V.size) < top_k)
  # At temperature 0 the most likely token has all of the probability.
  scaled_V = (logits_V - logits_V[0]) / jnp.maximum(temperature, TINY)
  odds_V = jnp.where(most, jnp.exp(scaled_V), 0)
  more_likely_V = jnp.cumsum(odds_V) - odds_V
  nucleus = (top_p == 1) | (more_likely_V < top_p * odds_V.sum())
  return order_V, jnp.where(most & nucleus, logits_V, -jnp.inf)
