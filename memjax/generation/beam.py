"""Beam search: the most likely answer among the K best beginnings.

Every step continues K beginnings with every token, and keeps the K of these
with the largest sum of log probabilities. A beginning is a row of the carry:
the kept ones are gathered by their index, so any memory can be searched. With
K = 1 this is the greedy answer. With K at least V^(T-1) it is the most likely
one of all answers of T tokens.

Paper: Graves 2012, https://arxiv.org/abs/1211.3711; for translation, Sutskever
et al. 2014, https://arxiv.org/abs/1409.3215. An answer that has ended keeps its
sum, and its place if K others are not better. There is no correction for
length.
Cost: K times that of the greedy answer, and the K largest of K V sums a step.
"""

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory, apply
from memjax.ops.steps import forget
from memjax.types import Carry, Params

NO_END = -1  # no token ends an answer


class Beams(NamedTuple):
  """The K best answers of each row, the best one first.

  Attributes:
    carry: the memory after the best one; one row each.
    answer_BKT: int32, the token chosen at each step; 0 before the answer.
    score_BK: float32, log probabilities, in nats, of all chosen tokens up to
      the end.
  """

  carry: Carry
  answer_BKT: jax.Array
  score_BK: jax.Array


def search(
  model: Memory,
  params: Params,
  carry: Carry,
  inputs_BT: jax.Array,
  reset_BT: jax.Array,
  answers_BT: jax.Array,
  beams: int,
  end: int = NO_END,
) -> Beams:
  """Searches answers to rows that may begin at different steps; jittable.

  Args:
    model: from tokens to logits of the same tokens.
    params: its parameters.
    carry: the memory before.
    inputs_BT: what is read where the step before it is not of the answer.
    reset_BT: where memory is forgotten.
    answers_BT: True at the steps whose outputs are of the answer: one run of
      steps a row. At the next step the model reads the token chosen here, if
      that step is of the answer too.
    beams: K.
    end: the token that ends an answer. It is repeated to the end of the row,
      and is not read.
  """
  rows, length = inputs_BT.shape

  def spread(x: jax.Array) -> jax.Array:
    return jnp.repeat(x, beams, axis=0)

  def step(state: Any, now: tuple[jax.Array, ...]) -> tuple[Any, None]:
    carry, token_BK, score_BK, text_BKT, before_B = state
    t, input_B, reset_B, answers_B = now
    own_B = before_B & answers_B
    ids_BK = jnp.where(own_B[:, None], token_BK, input_B[:, None])
    ended_BK = (token_BK == end) & own_B[:, None]
    after, y = apply(
      model, params, carry, ids_BK.reshape(-1, 1), spread(reset_B)[:, None]
    )
    carry = forget(ended_BK.reshape(-1), carry, after)
    parent_BK, chosen_BK, sum_BK = best(y[:, 0], score_BK, ended_BK, end)
    old_K = jnp.arange(beams)[None]
    parent_BK = jnp.where(answers_B[:, None], parent_BK, old_K)
    token_BK = jnp.where(answers_B[:, None], chosen_BK, 0)
    score_BK = jnp.where(answers_B[:, None], sum_BK, score_BK)
    text_BKT = jnp.take_along_axis(text_BKT, parent_BK[:, :, None], axis=1)
    text_BKT = text_BKT.at[:, :, t].set(token_BK)
    carry = jax.tree.map(lambda x: gather(x, parent_BK), carry)
    return (carry, token_BK, score_BK, text_BKT, answers_B), None

  start = _begin(jax.tree.map(spread, carry), (rows, beams, length))
  xs = jnp.arange(length), inputs_BT.T, reset_BT.T, answers_BT.T
  (carry, _, score_BK, text_BKT, _), _ = lax.scan(step, start, xs)
  first = jax.tree.map(lambda x: x[::beams], carry)
  return Beams(first, text_BKT, score_BK)


def _begin(carry: Carry, sizes: tuple[int, int, int]) -> Any:
  """The state before the first step: all beams are equal, so one counts."""
  rows, beams, _ = sizes
  score_K = jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf)
  return (
    carry,
    jnp.zeros((rows, beams), jnp.int32),
    jnp.broadcast_to(score_K, (rows, beams)),
    jnp.zeros(sizes, jnp.int32),
    jnp.zeros((rows,), bool),
  )


def extend(
  model: Memory,
  params: Params,
  carry: Carry,
  token: jax.Array,
  length: int,
  beams: int,
  end: int = NO_END,
) -> tuple[Carry, np.ndarray]:
  """The likeliest text of one row that is found, and the memory before its end.

  Args:
    model: from tokens to logits of the same tokens.
    params: its parameters.
    carry: the memory of everything before `token`.
    token: () int32, the last one, which is not read yet.
    length: number of tokens of the text, at most.
    beams: K.
    end: the token that ends the text, and is its last one.

  Returns:
    The memory of everything before the text's last token, and its tokens.
  """
  inputs_BT = jnp.full((1, length), token)
  found = _search(
    model,
    params,
    carry,
    inputs_BT,
    jnp.zeros(inputs_BT.shape, bool),
    jnp.ones(inputs_BT.shape, bool),
    beams,
    end,
  )
  text = np.asarray(found.answer_BKT[0, 0])
  ends = np.flatnonzero(text == end)
  return found.carry, text[: ends[0] + 1] if ends.size else text


_search = jax.jit(search, static_argnums=(0, 6, 7))


def best(
  y_RV: jax.Array, score_BK: jax.Array, ended_BK: jax.Array, end: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """The K best of all continuations: beam, token and sum of each."""
  (rows, beams), tokens = score_BK.shape, y_RV.shape[-1]
  log_BKV = jax.nn.log_softmax(y_RV.astype(jnp.float32))
  log_BKV = log_BKV.reshape(rows, beams, tokens)
  stays_V = jnp.where(jnp.arange(tokens) == end, 0.0, -jnp.inf)[None, None]
  log_BKV = jnp.where(ended_BK[:, :, None], stays_V, log_BKV)
  sum_BKV = score_BK[:, :, None] + log_BKV
  sum_BK, place_BK = lax.top_k(sum_BKV.reshape(rows, -1), beams)
  return place_BK // tokens, place_BK % tokens, sum_BK


def gather(x: jax.Array, parent_BK: jax.Array) -> jax.Array:
  """The rows `(B K, ...)` of the kept beams."""
  x_BK = x.reshape(*parent_BK.shape, *x.shape[1:])
  kept = jax.vmap(lambda x_K, parent_K: x_K[parent_K])(x_BK, parent_BK)
  return kept.reshape(x.shape)
