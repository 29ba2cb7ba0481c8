"""The metrics of a batch, from a readout of the steps that have labels.

The body of a model gives a hidden h at every step. Outputs are V numbers a
step, so large ones are made only where they are measured, at the labels. If a
row has many labels and V is large, the outputs are made chunk by chunk along
time. No large array `(B, T, V)` exists then, not even in the backward pass.
If a task `measures_classes`, a model with clusters of ids makes no outputs at
all: its `labels` give what the metrics are made of.
"""

from typing import Any

import jax
import jax.numpy as jnp

from memjax.models.base import Model, apply_labels, apply_readout
from memjax.tasks.base import Task
from memjax.types import Batch, Metrics, Params, Sequence_BTD

WHOLE_BYTES = 2**18  # of outputs below which no label is looked for
CHUNK_BYTES = 2**24  # of outputs that exist at once, 16 MiB
FLOAT_BYTES = 4


def measure_labels(
  model: Model,
  task: Task,
  params: Params,
  h_BTD: Sequence_BTD,
  batch: Batch,
  whole_bytes: int = WHOLE_BYTES,
  chunk_bytes: int = CHUNK_BYTES,
) -> Metrics:
  """The task's metrics of a batch, from the hidden states of its rows.

  Args:
    model: a whole model; only its readout is used.
    task: measures the outputs; `task.labels` is the most labels of a row.
    params: the model's parameters.
    h_BTD: the outputs of the model's body.
    batch: the rows.
    whole_bytes: outputs of all steps up to this size are made, labels or not:
      to gather the labels of a small output costs more than it saves.
    chunk_bytes: the largest size of outputs, if the task `measures_positions`;
      outputs above it are made in chunks of time.
  """
  rows, length = h_BTD.shape[:2]
  short = model.label_size if task.measures_classes else 0
  step_bytes = rows * (short or model.output_spec.size) * FLOAT_BYTES
  if length * step_bytes > whole_bytes:
    h_BTD, batch = gather_labels(h_BTD, batch, task.labels)
    length = h_BTD.shape[1]
  chunks = min(-(-length * step_bytes // chunk_bytes), length)

  def measure(h: jax.Array, batch: Batch) -> Metrics:
    if short:
      found = apply_labels(model, params, h, batch.targets)
      return task.measure_classes(*found, batch)
    return task.measure(apply_readout(model, params, h), batch)

  if chunks == 1 or not task.measures_positions:
    return measure(h_BTD, batch)
  xs = cut_chunks((h_BTD, batch), chunks)
  # The backward pass computes the outputs of a chunk again. If they were kept,
  # all chunks together would be (B, T, V).
  measure_chunk = jax.checkpoint(measure)

  def add(total: Metrics, x: Any) -> tuple[Metrics, None]:
    return jax.tree.map(jnp.add, total, measure_chunk(*x)), None

  shapes = jax.eval_shape(measure, *jax.tree.map(lambda x: x[0], xs))
  zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
  return jax.lax.scan(add, zeros, xs)[0]


def measure_positions(
  model: Model,
  task: Task,
  params: Params,
  h_BTD: Sequence_BTD,
  batch: Batch,
  chunk_bytes: int = CHUNK_BYTES,
) -> Metrics:
  """The metrics of every position, each sum and count `(B, T)`.

  Args:
    model: a whole model; only its readout is used.
    task: one that `measures_positions`.
    params: the model's parameters.
    h_BTD: the outputs of the model's body.
    batch: the rows.
    chunk_bytes: see `measure_labels`.
  """
  rows, length = h_BTD.shape[:2]
  step_bytes = rows * model.output_spec.size * FLOAT_BYTES
  chunks = min(-(-length * step_bytes // chunk_bytes), length)

  def measure_one(y: jax.Array, batch: Batch) -> Metrics:
    one = jax.tree.map(lambda x: x[None, None], (y, batch))
    return task.measure(*one)

  def measure_chunk(x: tuple[jax.Array, Batch]) -> Metrics:
    h, batch = x
    y = apply_readout(model, params, h)
    return jax.vmap(jax.vmap(measure_one))(y, batch)

  metrics = jax.lax.map(measure_chunk, cut_chunks((h_BTD, batch), chunks))
  return jax.tree.map(
    lambda x: jnp.moveaxis(x, 0, 1).reshape(rows, -1)[:, :length], metrics
  )


def gather_labels(
  h_BTD: Sequence_BTD, batch: Batch, labels: int
) -> tuple[Sequence_BTD, Batch]:
  """The steps that have labels, `(B, L, ...)`, in order of time.

  A row with fewer than L labels is filled up with steps of weight 0.
  """
  if not 0 < labels < h_BTD.shape[1]:
    return h_BTD, batch
  count_BT = jnp.cumsum(batch.loss_weights_BT > 0, axis=1)  # labels so far
  number_L = jnp.arange(1, labels + 1)
  step_BL = jax.vmap(lambda count_T: jnp.searchsorted(count_T, number_L))(
    count_BT
  )

  def gather(x: jax.Array) -> jax.Array:
    return jax.vmap(lambda x_T, step_L: x_T.at[step_L].get(mode='clip'))(
      x, step_BL
    )

  h_BLD, batch = jax.tree.map(gather, (h_BTD, batch))
  exists_BL = number_L[None] <= count_BT[:, -1:]
  weights_BL = jnp.where(exists_BL, batch.loss_weights_BT, 0)
  return h_BLD, batch._replace(loss_weights_BT=weights_BL)


def lost_labels(task: Task, batch: Batch) -> jax.Array:
  """float32, number of labels beyond the first `task.labels` of their row."""
  labels_B = (batch.loss_weights_BT > 0).sum(axis=1, dtype=jnp.float32)
  most = task.labels or batch.loss_weights_BT.shape[1]
  return jnp.maximum(labels_B - most, 0).sum()


def cut_chunks(tree: Any, chunks: int) -> Any:
  """`(B, T, ...)` to `(chunks, B, ceil(T / chunks), ...)`, zeros at the end."""

  def cut(x: jax.Array) -> jax.Array:
    size = -(-x.shape[1] // chunks)
    behind = chunks * size - x.shape[1]
    x = jnp.pad(x, [(0, 0), (0, behind)] + [(0, 0)] * (x.ndim - 2))
    x = x.reshape(x.shape[0], chunks, size, *x.shape[2:])
    return jnp.moveaxis(x, 1, 0)

  return jax.tree.map(cut, tree)
