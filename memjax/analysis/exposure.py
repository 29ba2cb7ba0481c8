"""How well a secret is known: its rank among all that it could have been.

    exposure = log2 |R| - log2 rank(secret)

R are the candidates, in the order of the loss that the model gives them after a
prefix such as 'the code is '. Exposure is log2 |R| bits if no candidate is more
likely than the secret, and 1 bit on average if the model knows nothing. A model
may know a secret from training, in its parameters, or from reading it, in its
carry: `candidate_losses` from an empty carry measures the first, and from the
carry after a text the second.

Paper: Carlini et al. 2019, The Secret Sharer,
https://arxiv.org/abs/1802.08232, with all candidates, not a sample.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory, apply
from memjax.types import Carry, Params


def exposure(losses_C: np.ndarray, secret: int) -> float:
  """The exposure of one candidate, in bits; half of the ties are before it.

  Args:
    losses_C: the loss of every candidate.
    secret: the number of the secret.
  """
  before = (losses_C < losses_C[secret]).sum()
  ties = (losses_C == losses_C[secret]).sum() - 1
  return float(np.log2(len(losses_C)) - np.log2(1 + before + ties / 2))


@functools.partial(jax.jit, static_argnums=0)
def candidate_losses(
  model: Memory,
  params: Params,
  carry: Carry,
  prefix_P: jax.Array,
  candidates_CL: jax.Array,
) -> jax.Array:
  """`(C,)`, nats of each candidate after the prefix.

  Args:
    model: a model of tokens that predicts the next one.
    params: its parameters.
    carry: what it has read before, of one row.
    prefix_P: at least one token, which all candidates follow.
    candidates_CL: tokens.
  """
  number, length = candidates_CL.shape
  carry, y = apply(
    model, params, carry, prefix_P[None], jnp.zeros((1, len(prefix_P)), bool)
  )
  first_C1V = jnp.broadcast_to(y[:, -1:], (number, 1, y.shape[-1]))
  logits = [first_C1V]
  if length > 1:
    each = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (number, *x.shape[1:])), carry
    )
    known_CL, none = (
      candidates_CL[:, :-1],
      jnp.zeros((number, length - 1), bool),
    )
    logits.append(apply(model, params, each, known_CL, none)[1])
  log_p_CLV = jax.nn.log_softmax(jnp.concatenate(logits, axis=1))
  of_tokens = jnp.take_along_axis(log_p_CLV, candidates_CL[..., None], axis=2)
  return -of_tokens.sum(axis=(1, 2))
