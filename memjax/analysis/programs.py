"""The programs that instruments share: each is compiled once for all of them.

Compiling a model takes longer than the few batches that an instrument reads. So
instruments read batches of the same shape, and shorter ones are padded: a reset
hides what stands before, and a memory that is causal ignores what comes behind.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, HostBatch, Metrics, Params


def replicas_of(params_N: Params) -> int:
  """N, the leading axis of all parameters."""
  return len(jax.tree.leaves(params_N)[0])


def make_batch(task: Task, host_batch: HostBatch) -> Batch:
  """The task's batch, as numpy arrays, which are cut without compiling."""
  return jax.device_get(_call(task.batch, host_batch))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def initial_carry(model: Memory, replicas: int, batch_size: int) -> Carry:
  """An empty memory for every replica, `(N, B, ...)`."""
  return jax.tree.map(
    lambda leaf: jnp.broadcast_to(leaf, (replicas, *leaf.shape)),
    model.initial_carry(batch_size),
  )


@functools.partial(jax.jit, static_argnums=0)
def forward(
  model: Memory, params_N: Params, carry_N: Carry, inputs: Any, reset_BT: Any
) -> tuple[Carry, jax.Array]:
  """Reads one segment with every replica.

  Args:
    model: any memory.
    params_N: its parameters, `(N, ...)`.
    carry_N: the memories before, `(N, B, ...)`.
    inputs: `(B, T, ...)`.
    reset_BT: where rows forget.

  Returns:
    The memories after it, and the outputs `(N, B, T, ...)`.
  """
  return jax.vmap(lambda p, c: apply(model, p, c, inputs, reset_BT))(
    params_N, carry_N
  )


def measure(task: Task, y_N: jax.Array, batch: Batch) -> Metrics:
  """The task's metrics of every replica: sums and counts `(N,)`."""
  return _measure(task.measure, y_N, batch)


def measure_last(task: Task, y_N: jax.Array, labels: Batch) -> Metrics:
  """The metrics of each row's last step alone: sums and counts `(N, B)`.

  Args:
    task: how a label is measured.
    y_N: outputs, `(N, B, T, ...)`.
    labels: what belongs to the last steps, `(B, ...)`.
  """
  return _measure_last(task.measure, y_N, labels)


# The methods of a task are static arguments: they are equal if the task is the
# same object, whatever its fields are.


@functools.partial(jax.jit, static_argnums=0)
def _call(make: Any, host_batch: HostBatch) -> Batch:
  return make(host_batch)


@functools.partial(jax.jit, static_argnums=0)
def _measure(of: Any, y_N: jax.Array, batch: Batch) -> Metrics:
  return jax.vmap(lambda y: of(y, batch))(y_N)


@functools.partial(jax.jit, static_argnums=0)
def _measure_last(of: Any, y_N: jax.Array, labels: Batch) -> Metrics:
  one_step = jax.tree.map(lambda x: x[:, None, None], labels)

  def one(y: jax.Array) -> Metrics:
    return jax.vmap(of)(y[:, None, -1:], one_step)

  return jax.vmap(one)(y_N)
