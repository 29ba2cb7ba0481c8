"""Short causal convolution of each channel, whose last inputs are the carry.

    y_t = sum_j kernel_(W-1-j) x_(t-j),   j = 0 ... W - 1, steps of t's run only

Inputs before the first step of a run count as 0.

Cost per step: W D. Kept for the backward pass: x and the masks.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.precision import widened


def convolve(
  tail_BWD: Float[Array, 'B before D'],
  x_BTD: Float[Array, 'B T D'],
  kernel_WD: Float[Array, 'taps D'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B before D'], Float[Array, 'B T D']]:
  """Reads T steps.

  Args:
    tail_BWD: the last W - 1 inputs before, 0 where there was none.
    x_BTD: inputs.
    kernel_WD: W >= 2 factors of each channel, the newest input's last.
    reset_BT: where the inputs before are forgotten.

  Returns:
    The last W - 1 inputs, 0 where they are forgotten, and y in the type of x.
  """
  before, length = tail_BWD.shape[1], x_BTD.shape[1]
  dtype, x_BTD, kernel_WD = x_BTD.dtype, widened(x_BTD), widened(kernel_WD)
  x = jnp.concatenate([tail_BWD.astype(x_BTD.dtype), x_BTD], axis=1)
  run_BT = jnp.cumsum(reset_BT.astype(jnp.int32), axis=1)
  run = jnp.pad(run_BT, ((0, 0), (before, 0)))
  y_BTD = kernel_WD[None, -1:] * x_BTD
  for tap in range(before):
    inputs, runs = x[:, tap : tap + length], run[:, tap : tap + length]
    seen_BTD = jnp.where((runs == run_BT)[..., None], inputs, 0)
    y_BTD += kernel_WD[None, tap : tap + 1] * seen_BTD
  remembered = (run[:, length:] == run_BT[:, -1:])[..., None]
  tail = jnp.where(remembered, x[:, length:], 0)
  return tail.astype(tail_BWD.dtype), y_BTD.astype(dtype)
