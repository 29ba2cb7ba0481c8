"""A memory over time, one step after the other.

For memories whose step is more than a recurrent cell's: `step` says what one
step does, `walk` carries it over T steps and forgets where it must.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
from jax import lax
import jax.numpy as jnp

from memjax.types import Carry, Reset_BT

Step: TypeAlias = Callable[[Carry, Any], tuple[Carry, Any]]


def walk(
  step: Step, fresh: Carry, carry: Carry, x: Any, reset_BT: Reset_BT
) -> tuple[Carry, Any]:
  """Reads T steps; kept for the backward pass is what `step` keeps, T times.

  Args:
    step: (carry, what one step reads, `(B, ...)`) to the carry after it and
      what the step answers, `(B, ...)`.
    fresh: the carry that remembers nothing.
    carry: before the first step.
    x: a tree of arrays `(B, T, ...)`.
    reset_BT: where the carry is fresh before the step is read.

  Returns:
    The carry after the last step, and all answers, `(B, T, ...)`.
  """

  def one(carry: Carry, read: tuple[Any, jax.Array]) -> tuple[Carry, Any]:
    x_now, reset_B = read
    return step(forget(reset_B, fresh, carry), x_now)

  def swap(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)

  carry, y = lax.scan(one, carry, (swap(x), reset_BT.T))
  return carry, swap(y)


@jax.checkpoint
def forget(reset_B: jax.Array, fresh: Carry, carry: Carry) -> Carry:
  """The fresh carry in the rows where `reset_B`, the given one elsewhere."""

  def choose(new: jax.Array, old: jax.Array) -> jax.Array:
    rows = reset_B.reshape(reset_B.shape + (1,) * (old.ndim - 1))
    return jnp.where(rows, new, old)

  return jax.tree.map(choose, fresh, carry)


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """x times the kernel, in the kernel's type, summed and given in x's type."""
  return jnp.matmul(
    x.astype(kernel.dtype), kernel, preferred_element_type=x.dtype
  )
