"""State spaces of single channels whose factors are the same at every step.

With N complex units of each channel d, all of the same input,

    h_t,dn = lambda_dn h_(t-1),dn + b_dn x_t,d
    y_t,d  = Re(sum_n c_dn h_t,dn)

T steps are read in P chunks of C. Let h be the state before a chunk. As factors
do not change, the chunk's outputs are a convolution and a product, and no state
but h is formed:

    y_t,d = sum_(s<=t) K_(t-s),d x_s,d + Re(sum_n c_dn lambda_dn^(t+1) h_dn)
    K_j,d = Re(sum_n c_dn lambda_dn^j b_dn)

The state after the chunk is lambda^C h + sum_s lambda^(C-1-s) b x_s. A reset in
a chunk is a mask: of the pairs of steps with no reset between them, and of the
steps before the first and after the last one.

Cost per step: C D + 4 N D. Kept for the backward pass: a state for each chunk,
2 T N D / C floats; for a while, T C D.

Further letters: D channels, N units of a channel, P chunks, C steps of one; 2
at the end of complex numbers, (real part, imaginary part).
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memjax.ops.diagonal import complex_product
from memjax.ops.precision import widened

CHUNK = 16


def invariant(
  h_BDN2: Float[Array, 'B D N 2'],
  log_decay_DN: Float[Array, 'D N'],
  angle_DN: Float[Array, 'D N'],
  b_DN2: Float[Array, 'D N 2'],
  c_DN2: Float[Array, 'D N 2'],
  x_BTD: Float[Array, 'B T D'],
  reset_BT: Bool[Array, 'B T'],
) -> tuple[Float[Array, 'B D N 2'], Float[Array, 'B T D']]:
  """Reads T steps.

  Args:
    h_BDN2: the state before.
    log_decay_DN: the logarithm of the modulus of lambda.
    angle_DN: the angle of lambda, in radians.
    b_DN2: factors of the inputs.
    c_DN2: factors of the outputs.
    x_BTD: inputs.
    reset_BT: where the state is 0 before the step is read.

  Returns:
    The state after the last step, and y.
  """
  factors = log_decay_DN, angle_DN, b_DN2, c_DN2, x_BTD
  log_decay_DN, angle_DN, b_DN2, c_DN2, x_BTD = map(widened, factors)
  length = x_BTD.shape[1]
  whole = length - length % CHUNK
  parts = (slice(whole), CHUNK), (slice(whole, None), length % CHUNK)
  y = []
  for part, chunk in parts:
    if x_BTD[:, part].size:
      power_JDN2 = _powers(log_decay_DN, angle_DN, chunk)
      h_BDN2, y_BTD = _read(
        h_BDN2, power_JDN2, b_DN2, c_DN2, x_BTD[:, part], reset_BT[:, part]
      )
      y.append(y_BTD)
  return h_BDN2, jnp.concatenate(y, axis=1)


def _powers(
  log_decay_DN: jax.Array, angle_DN: jax.Array, chunk: int
) -> jax.Array:
  """lambda^j for j from 0 to C, `(C + 1, D, N, 2)`."""
  j = jnp.arange(chunk + 1, dtype=log_decay_DN.dtype)[:, None, None]
  modulus, angle = jnp.exp(j * log_decay_DN[None]), j * angle_DN[None]
  return modulus[..., None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)


def _read(
  h_BDN2: jax.Array,
  power_JDN2: jax.Array,
  b_DN2: jax.Array,
  c_DN2: jax.Array,
  x_BTD: jax.Array,
  reset_BT: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Reads whole chunks."""
  chunk = len(power_JDN2) - 1
  batch, _, width = x_BTD.shape

  def cut(x_BT: jax.Array) -> jax.Array:
    x_BPC = x_BT.reshape(batch, -1, chunk, *x_BT.shape[2:])
    return jnp.swapaxes(x_BPC, 0, 1)

  x_PBCD, run_PBC = cut(x_BTD), jnp.cumsum(cut(reset_BT), axis=2)
  read_CDN2 = _conjugate(complex_product(power_JDN2[1:], c_DN2[None]))
  write_CDN2 = complex_product(power_JDN2[:-1], b_DN2[None])[::-1]
  bc_DN2 = _conjugate(complex_product(b_DN2, c_DN2))
  kernel_CD = (power_JDN2[:-1] * bc_DN2[None]).sum((2, 3))

  def one(h: jax.Array, now: tuple) -> tuple[jax.Array, jax.Array]:
    x_BCD, run_BC = now
    before_BC, after_BC = run_BC == 0, run_BC == run_BC[:, -1:]
    y_BCD = jnp.einsum('BDNZ,CDNZ->BCD', h, read_CDN2)
    kept = complex_product(power_JDN2[-1][None], h)
    kept = jnp.where(before_BC[:, -1][:, None, None, None], kept, 0)
    x_BCD = jnp.where(after_BC[..., None], x_BCD, 0)
    h = kept + jnp.einsum('BCD,CDNZ->BDNZ', x_BCD, write_CDN2)
    return h, jnp.where(before_BC[..., None], y_BCD, 0)

  h_BDN2, y_PBCD = lax.scan(one, h_BDN2, (x_PBCD, run_PBC))
  y_PBCD += _convolved(kernel_CD, x_PBCD, run_PBC)
  return h_BDN2, jnp.swapaxes(y_PBCD, 0, 1).reshape(batch, -1, width)


@jax.checkpoint
def _convolved(
  kernel_CD: jax.Array, x_PBCD: jax.Array, run_PBC: jax.Array
) -> jax.Array:
  """What the steps of each chunk add to its outputs; s is the earlier step."""
  t = jnp.arange(len(kernel_CD))
  lag_CS = t[:, None] - t[None]
  kernel_DCS = jnp.moveaxis(kernel_CD[jnp.maximum(lag_CS, 0)], 2, 0)
  same_PBCS = (run_PBC[..., None] == run_PBC[:, :, None]) & (lag_CS >= 0)[
    None, None
  ]
  seen = jnp.where(same_PBCS[:, :, None], kernel_DCS[None, None], 0)
  return jnp.einsum('PBDCS,PBSD->PBCD', seen, x_PBCD)


def _conjugate(a: jax.Array) -> jax.Array:
  """A sum of products with it, number by number, is Re(sum a z)."""
  return jnp.stack([a[..., 0], -a[..., 1]], axis=-1)
