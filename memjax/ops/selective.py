"""The selective state space of Mamba: every channel has N decaying numbers.

    h_t,en = exp(dt_t,e A_en) h_(t-1),en + dt_t,e b_t,n x_t,e
    y_t,e  = sum_n c_t,n h_t,en

Decays differ by step, channel and number, so a chunk is not a product of
matrices. The loop over steps makes each exponential where it is used, and no
array of T E N numbers exists. With p_t = dt_t x_t and g the gradient of h, the
gradients are a loop of the same kind that runs backwards,

    g_t = c_t dy_t' + exp(dt_(t+1) A) g_(t+1),   s_t = g_t exp(dt_t A) h_(t-1)
    dA = sum_t dt_t s_t,   ddt_t = sum_n A s_t + x_t q_t,   dx_t = dt_t q_t
    q_t = sum_n b_t g_t,   db_t = sum_e p_t g_t,   dc_t = sum_e dy_t h_t

The loop runs in pieces of 16 steps; the backward pass computes the states of a
piece again from the state before it. Channels are last inside, where all but
the sums over them are operations on whole vectors.

Cost per step: 4 E N, and E N exponentials; with the backward pass 18 E N, and
three times the exponentials. Kept for the backward pass: a state for each
piece, T E N / 16 floats.

Further letters: E channels, N numbers of a channel, P pieces, C steps of one.
"""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.precision import widened

PIECE = 16  # steps

Steps = tuple[jax.Array, ...]  # dt, x, b, c and reset, time first


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

  a_NE, h_BNE = widened(a_EN).T, jnp.swapaxes(h_BEN, 1, 2)
  steps = tuple(
    jnp.swapaxes(widened(x), 0, 1)
    for x in (dt_BTE, x_BTE, b_BTN, c_BTN, reset_BT)
  )
  length = x_BTE.shape[1]
  whole = length - length % PIECE
  y = []
  for part, piece in (
    (slice(whole), PIECE),
    (slice(whole, None), length % PIECE),
  ):
    if piece:
      pieces = tuple(x[part].reshape(-1, piece, *x.shape[1:]) for x in steps)
      h_BNE, y_PCBE = _read(h_BNE, a_NE, pieces)
      y.append(y_PCBE.reshape(-1, *y_PCBE.shape[2:]))
  return jnp.swapaxes(h_BNE, 1, 2), jnp.swapaxes(jnp.concatenate(y), 0, 1)


@jax.custom_vjp
def _read(
  h_BNE: jax.Array, a_NE: jax.Array, pieces: Steps
) -> tuple[jax.Array, jax.Array]:
  """The state after P pieces of C steps, and y `(P, C, B, E)`."""
  return _forward(h_BNE, a_NE, pieces)[0]


def _forward(h_BNE: jax.Array, a_NE: jax.Array, pieces: Steps) -> Any:
  def step(h_BNE: jax.Array, now: Steps) -> tuple[jax.Array, jax.Array]:
    h_BNE = _state(h_BNE, a_NE, now)
    return h_BNE, (h_BNE * now[3][..., None]).sum(1)

  def read(h_BNE: jax.Array, steps: Steps) -> tuple[jax.Array, Any]:
    after_BNE, y_CBE = lax.scan(step, h_BNE, steps)
    return after_BNE, (y_CBE, h_BNE)

  h_BNE, (y, starts_PBNE) = lax.scan(read, h_BNE, pieces)
  return (h_BNE, y), (starts_PBNE, a_NE, pieces)


def _state(h_BNE: jax.Array, a_NE: jax.Array, now: Steps) -> jax.Array:
  """The state after a step."""
  dt_BE, x_BE, b_BN, _, reset_B = now
  h_BNE = jnp.where(reset_B[:, None, None], 0, h_BNE)
  decay_BNE = jnp.exp(dt_BE[:, None] * a_NE[None])
  return decay_BNE * h_BNE + (dt_BE * x_BE)[:, None] * b_BN[..., None]


def _backward(kept: Any, d: tuple[jax.Array, jax.Array]) -> Any:
  starts_PBNE, a_NE, pieces = kept
  d_h_BNE, d_y = d

  def again(h_BNE: jax.Array, now: Steps) -> tuple[jax.Array, jax.Array]:
    return _state(h_BNE, a_NE, now), h_BNE

  def step(carry: Any, step: Any) -> tuple[Any, Any]:
    g_BNE, d_a_NE = carry
    before_BNE, dy_BE, now = step
    dt_BE, x_BE, b_BN, c_BN, reset_B = now
    reset_B11 = reset_B[:, None, None]
    decay_BNE = jnp.exp(dt_BE[:, None] * a_NE[None])
    left_BNE = decay_BNE * jnp.where(reset_B11, 0, before_BNE)
    p_BE = dt_BE * x_BE
    h_BNE = left_BNE + p_BE[:, None] * b_BN[..., None]
    g_BNE += dy_BE[:, None] * c_BN[..., None]
    # A CPU takes sums of products faster as products of matrices.
    d_c_BN = jnp.einsum('BNE,BE->BN', h_BNE, dy_BE)
    d_b_BN = jnp.einsum('BNE,BE->BN', g_BNE, p_BE)
    q_BE = jnp.einsum('BNE,BN->BE', g_BNE, b_BN)
    s_BNE = g_BNE * left_BNE
    d_dt_BE = (s_BNE * a_NE[None]).sum(1) + q_BE * x_BE
    d_a_NE += (s_BNE * dt_BE[:, None]).sum(0)
    g_BNE = jnp.where(reset_B11, 0, g_BNE * decay_BNE)
    return (g_BNE, d_a_NE), (d_dt_BE, q_BE * dt_BE, d_b_BN, d_c_BN)

  def read(carry: Any, piece: Any) -> tuple[Any, Any]:
    start_BNE, dy_CBE, steps = piece
    _, before_CBNE = lax.scan(again, start_BNE, steps)
    return lax.scan(step, carry, (before_CBNE, dy_CBE, steps), reverse=True)

  carry = d_h_BNE, jnp.zeros_like(a_NE)
  read_back = starts_PBNE, d_y, pieces
  (d_h_BNE, d_a_NE), d_steps = lax.scan(read, carry, read_back, reverse=True)
  return d_h_BNE, d_a_NE, (*d_steps, None)


_read.defvjp(_forward, _backward)
