"""Draws follow the distribution that is left, enumerated in NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.generation.sampler import (
  UNFILTERED,
  SamplerConfig,
  filter_logits,
  sample_token,
)

LOGITS = np.log([0.3, 0.02, 0.3, 0.08, 0.1, 0.1, 0.1])  # ties among them
DRAWS = 4000
DRAW: Any = jax.jit(jax.vmap(sample_token, (0, None, None)))
FILTER = jax.jit(filter_logits)


def odds(logits: np.ndarray, config: SamplerConfig) -> np.ndarray:
  """The distribution by its definition, one token after the other."""
  if config.temperature == 0:
    return np.eye(len(logits))[logits.argmax()]
  p = np.exp(logits / config.temperature)
  ranking = sorted(range(len(p)), key=lambda i: (-p[i], i))
  ranking = ranking[: config.top_k or None]
  total = sum(p[i] for i in ranking)
  kept, mass = [], 0.0
  for i in ranking:
    kept.append(i)
    mass += p[i] / total
    if mass >= config.top_p and config.top_p < 1:
      break
  left = np.zeros_like(p)
  left[kept] = p[kept]
  return left / left.sum()


def odds_of(logits: np.ndarray, config: SamplerConfig) -> np.ndarray:
  """The distribution of ours, in the order of the ids."""
  order_V, kept_V = FILTER(jnp.float32(logits), config.params())
  if config.temperature == 0:
    return np.eye(len(logits))[order_V[0]]
  found = np.zeros(len(logits))
  found[np.asarray(order_V)] = jax.nn.softmax(kept_V / config.temperature)
  return found


@pytest.mark.parametrize('temperature', [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize('top_k', [0, 1, 3, 4, 7, 100])
def test_what_is_left_is_what_the_definitions_leave(
  temperature: float, top_k: int
) -> None:
  for top_p in (0.01, 0.29, 0.55, 0.75, 0.95, 1.0):
    config = SamplerConfig(temperature, top_k, top_p)
    np.testing.assert_allclose(
      odds_of(LOGITS, config), odds(LOGITS, config), atol=1e-6, err_msg=config
    )


def test_of_equally_likely_tokens_the_first_stay() -> None:
  flat = np.zeros(8)
  for config in (
    SamplerConfig(top_k=4),
    SamplerConfig(top_p=0.5),
    SamplerConfig(top_p=0.4375),
  ):
    np.testing.assert_array_equal(
      odds_of(flat, config), np.repeat([0.25, 0.0], 4)
    )


def test_the_nucleus_is_of_what_top_k_has_left() -> None:
  """0.3 of 0.6 is half of it: one token is left, of 0.3 of 1 it were two."""
  config = SamplerConfig(top_k=2, top_p=0.45)
  assert np.flatnonzero(odds_of(LOGITS, config)).tolist() == [0]
  config = SamplerConfig(top_p=0.45)
  assert np.flatnonzero(odds_of(LOGITS, config)).tolist() == [0, 2]


@pytest.mark.parametrize(
  'config',
  [
    UNFILTERED,
    SamplerConfig(0.5),
    SamplerConfig(2.0),
    SamplerConfig(1.0, top_k=4),
    SamplerConfig(1.0, top_p=0.65),
    SamplerConfig(1.5, 5, 0.8),
  ],
)
def test_draws_follow_what_is_left(config: SamplerConfig) -> None:
  keys = jax.random.split(jax.random.key(5), DRAWS)
  tokens = DRAW(keys, jnp.float32(LOGITS), config.params())
  counts = np.bincount(tokens, minlength=len(LOGITS))
  wanted = DRAWS * odds(LOGITS, config)
  assert not counts[wanted == 0].any()
  counts, wanted = counts[wanted > 0], wanted[wanted > 0]
  chi_square = ((counts - wanted) ** 2 / wanted).sum()
  one_in_a_thousand = [0, 10.8, 13.8, 16.3, 18.5, 20.5, 22.5]
  assert chi_square < one_in_a_thousand[len(counts) - 1]


def test_the_coldest_draw_is_the_most_likely_token() -> None:
  keys = jax.random.split(jax.random.key(0), 20)
  tokens = DRAW(keys, jnp.float32(LOGITS), SamplerConfig(0).params())
  assert not tokens.any()


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('temperature', -0.1),
    ('temperature', float('nan')),
    ('temperature', float('inf')),
    ('top_k', -1),
    ('top_k', 2**31),
    ('top_p', 0.0),
    ('top_p', 1.01),
    ('top_p', float('nan')),
  ],
)
def test_a_choice_out_of_range_is_refused(field: str, value: float) -> None:
  fields: dict[str, Any] = {field: value}
  with pytest.raises(ConfigError, match=f'^{field}: '):
    SamplerConfig(**fields)
