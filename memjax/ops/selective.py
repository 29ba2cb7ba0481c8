"""The selective state space of Mamba: every channel has N decaying numbers.

    h_t,en = exp(dt_t,e A_en) h_(t-1),en + dt_t,e b_t,n x_t,e
    y_t,e  = sum_n c_t,n h_t,en

Decays differ by step, channel and number, so a chunk is not a product of
matrices. The loop over steps makes each exponential where it is used, and no
array of T E N numbers exists. It runs in pieces of 16 steps; the backward pass
computes the states of a piece again from the state before it.

Cost per step: 4 E N, and E N exponentials; twice that again with the backward
pass. Kept for the backward pass: a state for each piece, T E N / 16 floats.

Further letters: E channels, N numbers of a channel.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.precision import widened

PIECE = 16  # steps


def selective(
  h_BEN: Float[Array, 'B E N'],
  dt_BTE: Float[Array, 'B T E'],
  x_BTE: Float[Array, 'B T E'],
  b_BTN: Float[Array, 'B T N'],
  c_BTN: Float[Array, 'B T N'],
  a_EN: Float[Array, 'E N'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B E N'], Float[Array, 'B T E']]:
  """Reads T steps.

  Args:
    h_BEN: the state before.
    dt_BTE: step sizes, at least 0.
    x_BTE: inputs.
    b_BTN: what an input is written to.
    c_BTN: what is read.
    a_EN: rates, below 0.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and y.
  """

  def step(h_BEN: jax.Array, now: Any) -> tuple[jax.Array, jax.Array]:
    dt_BE, x_BE, b_BN, c_BN, reset_B = now
    h_BEN = jnp.where(reset_B[:, None, None], 0, h_BEN)
    decay_BEN = jnp.exp(dt_BE[..., None] * a_EN[None])
    h_BEN = decay_BEN * h_BEN + (dt_BE * x_BE)[..., None] * b_BN[:, None]
    return h_BEN, (h_BEN * c_BN[:, None]).sum(-1)

  @jax.checkpoint
  def read(h_BEN: jax.Array, steps: Any) -> tuple[jax.Array, jax.Array]:
    return lax.scan(step, h_BEN, steps)

  a_EN = widened(a_EN)
  steps = tuple(
    jnp.swapaxes(widened(x), 0, 1)
    for x in (dt_BTE, x_BTE, b_BTN, c_BTN, reset_BT)
  )
  length = x_BTE.shape[1]
  whole = length - length % PIECE
  pieces = tuple(x[:whole].reshape(-1, PIECE, *x.shape[1:]) for x in steps)
  h_BEN, y = lax.scan(read, h_BEN, pieces)
  h_BEN, rest = read(h_BEN, tuple(x[whole:] for x in steps))
  y_TBE = jnp.concatenate([y.reshape(-1, *rest.shape[1:]), rest])
  return h_BEN, jnp.swapaxes(y_TBE, 0, 1)
