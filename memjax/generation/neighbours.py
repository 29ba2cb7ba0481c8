"""Text from a model and from records of what followed similar states.

Paper: Khandelwal et al. 2020, https://arxiv.org/abs/1911.00172, kNN-LM. With
h_t the last hidden state, p_t the model's distribution and (k_i, w_i) the C
records with the largest cosines s_i between k_i and h_t:

    e_i    = exp((s_i - 1) / temperature)
    c_t(w) = sum_i e_i [w_i = w] / sum_i e_i
    a_t    = share exp((max_i s_i - 1) / reach)
    p'_t   = (1 - a_t) p_t + a_t c_t

Deviation: the paper's share is constant. Here records that are far away count
less, so that an empty or foreign store leaves the model as it is.

Records are looked up by a function between two compiled calls, so nothing in a
compiled step waits for it.
"""

from collections.abc import Callable, Iterator
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.generation.decode import PIECE, State
from memjax.generation.sampler import SamplerConfig, sample_token
from memjax.models.base import Model, apply_body, apply_readout
from memjax.types import Carry, Params


class Neighbours(NamedTuple):
  """The records that one state found.

  Attributes:
    token_C: what followed the state of each record.
    score_C: cosines.
  """

  token_C: np.ndarray
  score_C: np.ndarray


LookUp = Callable[[np.ndarray], Neighbours]  # of a state, (D,)


class Mixing(NamedTuple):
  """How records and model are mixed.

  Attributes:
    share: the most that records count, in [0, 1).
    temperature: of the cosines among the records, above 0.
    reach: how far below 1 the largest cosine may be, until records count 1/e
      of their share, above 0; infinite: the paper's constant share.
  """

  share: float = 0.9
  temperature: float = 0.03
  reach: float = 0.1

  def check(self) -> None:
    """Requires all to be in their ranges."""
    share, rule = self.share, 'must be in [0, 1)'
    require(0 <= share < 1, 'store_share', share, rule)
    for field in ('temperature', 'reach'):
      value = getattr(self, field)
      require(value > 0, f'store_{field}', value, 'must be above 0')


def mixed(
  logits_V: np.ndarray, found: Neighbours, mixing: Mixing
) -> tuple[np.ndarray, float]:
  """The logarithms of p', and a."""
  logits_V = np.asarray(logits_V, np.float64)
  p_V = np.exp(logits_V - logits_V.max())
  p_V /= p_V.sum()
  if not len(found.token_C):
    return np.log(np.maximum(p_V, 1e-30)), 0.0
  far_C = 1.0 - np.minimum(np.asarray(found.score_C, np.float64), 1.0)
  e_C = np.exp((far_C.min() - far_C) / mixing.temperature)
  c_V = np.zeros_like(p_V)
  np.add.at(c_V, found.token_C, e_C)
  a = mixing.share * float(np.exp(-far_C.min() / mixing.reach))
  c_V /= e_C.sum()
  return np.log(np.maximum((1 - a) * p_V + a * c_V, 1e-30)), a


def mixed_outputs(
  y_BTV: jax.Array, token_BTK: jax.Array, score_BTK: jax.Array, mixing: Mixing
) -> tuple[jax.Array, jax.Array]:
  """`mixed` for many states at once: log p' `(B, T, V)` and a `(B, T)`.

  Args:
    y_BTV: the model's outputs.
    token_BTK: what followed the state of each record.
    score_BTK: cosines; -inf where there are fewer than K records.
    mixing: how they are mixed.
  """
  p_BTV = jax.nn.softmax(y_BTV.astype(jnp.float32))
  best_BT1 = score_BTK.max(-1, keepdims=True)
  known_BT1 = jnp.isfinite(best_BT1)
  far_BTK = 1 - jnp.minimum(score_BTK, 1)
  least_BT1 = jnp.where(known_BT1, 1 - jnp.minimum(best_BT1, 1), 0)
  e_BTK = jnp.exp((least_BT1 - far_BTK) / mixing.temperature)
  each_BTK = e_BTK / jnp.maximum(e_BTK.sum(-1, keepdims=True), 1e-30)
  row, time = jnp.ogrid[: p_BTV.shape[0], : p_BTV.shape[1]]
  place = row[..., None], time[..., None], token_BTK
  c_BTV = jnp.zeros_like(p_BTV).at[place].add(each_BTK)
  a_BT1 = mixing.share * jnp.exp(-least_BT1 / mixing.reach) * known_BT1
  log_BTV = jnp.log(jnp.maximum((1 - a_BT1) * p_BTV + a_BT1 * c_BTV, 1e-30))
  return log_BTV, a_BT1[..., 0]


def hidden_states(
  model: Model, params: Params, carry: Carry, ids: np.ndarray
) -> np.ndarray:
  """The last hidden state after each token of a text, `(T, D)` float32."""
  parts = []
  for at in range(0, len(ids), PIECE):
    piece = np.zeros(PIECE, np.int32)
    piece[: len(ids[at : at + PIECE])] = ids[at : at + PIECE]
    carry, h_TD = _read_piece(model, params, carry, piece[None])
    parts.append(np.asarray(h_TD, np.float32))
  return np.concatenate(parts)[: len(ids)]


def generate(
  model: Model,
  params: Params,
  state: State,
  length: int,
  config: SamplerConfig,
  look_up: LookUp,
  mixing: Mixing,
) -> Iterator[tuple[int, float, State]]:
  """Generates tokens, each with the help of the records that its state finds.

  Returns:
    For each token its id, the share a of the records, and the state after it.
  """
  require(length >= 1, 'length', length, 'must be at least 1')
  mixing.check()
  sampler = config.params()
  for _ in range(length):
    carry, h_D, logits_V = _advance(model, params, state.carry, state.token)
    found = look_up(np.asarray(h_D, np.float32))
    log_V, share = mixed(np.asarray(logits_V), found, mixing)
    next_key, key = jax.random.split(state.key)
    token = _draw(key, jnp.asarray(log_V, jnp.float32), sampler)
    state = State(carry, token, next_key)
    yield int(token), share, state


@functools.partial(jax.jit, static_argnums=0)
def _read_piece(
  model: Model, params: Params, carry: Carry, ids: jax.Array
) -> tuple[Carry, jax.Array]:
  carry, h = apply_body(model, params, carry, ids, jnp.zeros(ids.shape, bool))
  return carry, h[0]


@functools.partial(jax.jit, static_argnums=0)
def _advance(
  model: Model, params: Params, carry: Carry, token: jax.Array
) -> tuple[Carry, jax.Array, jax.Array]:
  no_reset = jnp.zeros((1, 1), bool)
  carry, h = apply_body(model, params, carry, token[None, None], no_reset)
  return carry, h[0, 0], apply_readout(model, params, h)[0, 0]


_draw = jax.jit(sample_token)
