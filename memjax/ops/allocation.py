"""Free slots and the order of writes, for the DNC.

Source: Graves et al. 2016, https://doi.org/10.1038/nature20101, Methods:
dynamic memory allocation and temporal memory linkage. A memory has M slots, one
write head and H read heads; weightings are not negative and sum to at most 1,
gates and usage lie in [0, 1]. All arrays are float32.
"""

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Added to usages whose product is taken as a sum of logarithms. It changes no
# usage above 1e-22, and where one is 0, as all are at first, the gradient is
# that of the product itself: EPSILON times the others, divided by EPSILON.
EPSILON = 1e-30

# Slots of equal usage differ by round-off only. Each is ranked as if used by
# this much more than the one before it, so that the first of them comes next on
# every machine. Outputs would be equal without it.
TIE = 1e-6


def retention(
  free_BH: Float[Array, 'B H'], read_BHM: Float[Array, 'B H M']
) -> Float[Array, 'B M']:
  """How much of each slot the free gates keep, psi_t.

  Args:
    free_BH: the gates; 1 frees what the head has read.
    read_BHM: the last read weightings.
  """
  return jnp.prod(1 - free_BH[:, :, None] * read_BHM, axis=1)


def usage(
  usage_BM: Float[Array, 'B M'],
  write_BM: Float[Array, 'B M'],
  retention_BM: Float[Array, 'B M'],
) -> Float[Array, 'B M']:
  """How far each slot is in use, u_t: more by the last write, less if freed.

  In [0, 1] even where round-off has carried a weighting past 1.
  """
  used_BM = (usage_BM + write_BM * (1 - usage_BM)) * retention_BM
  return used_BM + lax.stop_gradient(jnp.clip(used_BM, 0, 1) - used_BM)


def allocation_weights(
  usage_BM: Float[Array, 'B M'],
) -> Float[Array, 'B M']:
  """Where a write finds room, a_t: the least used slot, then the next.

  With the slots in rising order of usage, each gets 1 minus its own usage times
  the product of the usages before it. The order is a constant to the gradient,
  which ignores the jumps where it changes, as the paper's does. A comparison of
  all pairs, which are not larger than the links, takes the place of a sort.
  """
  slot_M = jnp.arange(usage_BM.shape[1])
  rank_BM = usage_BM + TIE * slot_M[None].astype(usage_BM.dtype)
  one_BM1, other_B1M = rank_BM[:, :, None], rank_BM[:, None, :]
  earlier_MM = (slot_M[None, :] < slot_M[:, None])[None]
  before_BMM = (other_B1M < one_BM1) | (other_B1M == one_BM1) & earlier_MM
  log_B1M = jnp.log(usage_BM + EPSILON)[:, None]
  taken_BM = jnp.exp(jnp.where(before_BMM, log_B1M, 0).sum(axis=2))
  return (1 - usage_BM) * taken_BM


def write_weights(
  write_gate_B: Float[Array, 'B'],
  allocation_gate_B: Float[Array, 'B'],
  allocation_BM: Float[Array, 'B M'],
  content_BM: Float[Array, 'B M'],
) -> Float[Array, 'B M']:
  """Where the write head writes: to free slots or by content, or not at all."""
  by_use_B1 = allocation_gate_B[:, None]
  where_BM = by_use_B1 * allocation_BM + (1 - by_use_B1) * content_BM
  return write_gate_B[:, None] * where_BM


def precedence(
  precedence_BM: Float[Array, 'B M'], write_BM: Float[Array, 'B M']
) -> Float[Array, 'B M']:
  """How far each slot is the one written last, p_t, after this write."""
  return (1 - write_BM.sum(axis=1, keepdims=True)) * precedence_BM + write_BM


def links(
  link_BMM: Float[Array, 'B M M'],
  precedence_BM: Float[Array, 'B M'],
  write_BM: Float[Array, 'B M'],
) -> Float[Array, 'B M M']:
  """The temporal links L_t after this write; no slot is linked to itself.

  Args:
    link_BMM: before; `[b, i, j]` is how far slot i was written right after
      slot j. Rows and columns sum to at most 1.
    precedence_BM: before this write, p_(t-1).
    write_BM: this write.
  """
  to_BM1, from_B1M = write_BM[:, :, None], write_BM[:, None, :]
  new_BMM = to_BM1 * precedence_BM[:, None, :]
  apart_MM = 1 - jnp.eye(write_BM.shape[1], dtype=link_BMM.dtype)
  return apart_MM[None] * ((1 - to_BM1 - from_B1M) * link_BMM + new_BMM)


def forward_weights(
  link_BMM: Float[Array, 'B M M'], read_BHM: Float[Array, 'B H M']
) -> Float[Array, 'B H M']:
  """What was written right after what each head has read, f_t."""
  return jnp.einsum('bij,bhj->bhi', link_BMM, read_BHM)


def backward_weights(
  link_BMM: Float[Array, 'B M M'], read_BHM: Float[Array, 'B H M']
) -> Float[Array, 'B H M']:
  """What was written right before what each head has read, b_t."""
  return jnp.einsum('bij,bhi->bhj', link_BMM, read_BHM)
