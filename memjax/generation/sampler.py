"""Samples the next token: temperature, top-k and top-p, then a draw."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require

TEMPERATURE = 0.8  # of text that is shown
TINY = np.finfo(np.float32).tiny


@dataclasses.dataclass(frozen=True)
class SamplerConfig:
  """The distribution from which the next token is drawn.

  The temperature applies first, then top-k (Fan et al. 2018,
  https://arxiv.org/abs/1805.04833), then top-p to what top-k leaves (nucleus
  sampling, Holtzman et al. 2020, https://arxiv.org/abs/1904.09751). Of two
  equally likely tokens the smaller id comes first.

  Attributes:
    temperature: divides the logits; 0 takes the most likely token.
    top_k: number of most likely tokens to keep; 0 keeps all.
    top_p: keeps the fewest most likely tokens whose probability together is at
      least this; 1 keeps all.

  Raises:
    ConfigError: a value is out of its range.
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
      'must be at least 0 (0 keeps all tokens) and below 2^31',
    )
    require(
      0 < self.top_p <= 1,
      'top_p',
      self.top_p,
      'must be above 0 and at most 1 (1 keeps all tokens)',
    )

  def params(self) -> 'SamplerParams':
    """The values as arrays, so that no value compiles its own program."""
    return SamplerParams(
      jnp.float32(self.temperature),
      jnp.int32(self.top_k),
      jnp.float32(self.top_p),
    )


UNFILTERED = SamplerConfig()  # temperature 1, all tokens


class SamplerParams(NamedTuple):
  """A SamplerConfig as scalar arrays."""

  temperature: jax.Array
  top_k: jax.Array
  top_p: jax.Array


def sample_token(
  key: jax.Array, logits_V: jax.Array, params: SamplerParams
) -> jax.Array:
  """One token, () int32.

  By the Gumbel-max trick, the argmax of logits + temperature * Gumbel noise is
  a sample of softmax(logits / temperature). At temperature 0 it is the most
  likely token, without a case of its own.
  """
  order_V, logits_V = filter_logits(logits_V.astype(jnp.float32), params)
  gumbel_V = jax.random.gumbel(key, logits_V.shape)
  return order_V[jnp.argmax(logits_V + params.temperature * gumbel_V)]


def filter_logits(
  logits_V: jax.Array, params: SamplerParams
) -> tuple[jax.Array, jax.Array]:
  """Token ids by falling probability, and their logits, -inf if filtered out.

  The shapes do not depend on the number of tokens kept, so one program serves
  all settings.
  """
  temperature, top_k, top_p = params
  order_V = jnp.argsort(-logits_V, stable=True)
  logits_V = logits_V[order_V]
  in_top_k = (top_k == 0) | (jnp.arange(logits_V.size) < top_k)
  # At temperature 0 the most likely token has all of the probability.
  scaled_V = (logits_V - logits_V[0]) / jnp.maximum(temperature, TINY)
  odds_V = jnp.where(in_top_k, jnp.exp(scaled_V), 0)
  more_likely_V = jnp.cumsum(odds_V) - odds_V
  in_top_p = (top_p == 1) | (more_likely_V < top_p * odds_V.sum())
  return order_V, jnp.where(in_top_k & in_top_p, logits_V, -jnp.inf)
