"""The training step: pure, the same for every memory and every task."""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import optax

from memjax.config.experiment import Experiment
from memjax.guards import finite
from memjax.guards.elastic import ELASTIC, gradient_in_groups
from memjax.models.base import Model, apply_body
from memjax.runs.frozen import Frozen, materialise
from memjax.tasks.base import TRAINING, Stream, Task, invalid_ids
from memjax.training.adapt import initial_parts
from memjax.training.cuts import gathered
from memjax.training.gradients import gradient_by_row, gradient_in_parts
from memjax.training.optimisers.optim import average
from memjax.training.optimisers.parameter_groups import zero_frozen
from memjax.training.readout import lost_labels, measure_labels
from memjax.training.state import TrainState
from memjax.types import Batch, Carry, HostBatch, Metric, Metrics, Params, Sums

Step = Callable[[TrainState, Batch], tuple[TrainState, Sums]]


def make_step(
  experiment: Experiment,
  optimiser: optax.GradientTransformation,
  mesh: Mesh | None = None,
) -> Step:
  """One optimiser step on one batch.

  The carry enters as a constant, so the gradient ends at the start of the
  batch. The loss is summed over all rows, and its gradient is divided once by
  the count of all rows. So the number of parts that the rows are read in
  changes nothing. A step with a value that is not finite is not taken; see
  `guards/finite.py`. An elastic run needs the mesh.
  """
  ema, policy = experiment.optim.ema, experiment.train.nonfinite
  differentiate = gradient
  if experiment.train.grad_accum_steps > 1:
    differentiate = functools.partial(gradient_in_parts, gradient)
  if experiment.optim.row_clip_norm:
    differentiate = functools.partial(gradient_by_row, gradient)
  if mesh is not None and experiment.parallel.determinism == ELASTIC:
    differentiate = functools.partial(gradient_in_groups, mesh, gradient)
  update = optax.with_extra_args_support(optimiser).update
  infinite = finite.starts_infinite(experiment.model)

  def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    key = jax.random.fold_in(state.key, state.step)
    frozen, params = (
      gathered(mesh, part) for part in (state.frozen, state.params)
    )
    grads, carry, metrics = differentiate(
      experiment, frozen, params, state.carry, batch, key
    )
    count = jnp.maximum(metrics['loss'].count, 1)
    grads = jax.tree.map(lambda g: g / count, grads)
    grads = zero_frozen(experiment.optim, grads)
    updates, opt_state = update(
      grads, state.opt_state, state.params, value=metrics['loss'].sum / count
    )
    params = optax.apply_updates(state.params, updates)
    norm = optax.tree.norm(grads)
    sums = sums_of(experiment.task, batch, metrics, norm)
    after = state._replace(
      step=state.step + 1,
      params=params,
      opt_state=opt_state,
      ema=average(state.ema, params, ema) if ema else (),
      carry=carry,
    )
    values = metrics['loss'].sum, norm
    after, taken = finite.keep(policy, state, after, infinite, *values)
    stopped = state.faults.stopped
    counted = finite.counted(sums.metrics, policy, taken, stopped)
    return after, sums._replace(metrics=counted)

  return step


def sums_of(
  task: Task, batch: Batch, metrics: Metrics, norm: jax.Array
) -> Sums:
  """What a step adds to the sums of its row."""
  metrics = metrics | {'gradient_norm': Metric(norm, jnp.ones(()))}
  return Sums(metrics, invalid_ids(task, batch), lost_labels(task, batch))


def gradient(
  experiment: Experiment,
  frozen: Frozen,
  params: Params,
  carry: Carry,
  batch: Batch,
  key: jax.Array,
) -> tuple[Params, Carry, Metrics]:
  """The gradient of the batch's summed loss, the carry after it, metrics."""

  def loss(params: Params) -> tuple[jax.Array, tuple[Carry, Metrics]]:
    whole = materialise(frozen, params)
    after, metrics = read_batch(experiment, whole, carry, batch, key)
    return metrics['loss'].sum, (after, metrics)

  grads, (after, metrics) = jax.grad(loss, has_aux=True)(params)
  return grads, after, metrics


def make_call(
  experiment: Experiment,
  optimiser: optax.GradientTransformation,
  mesh: Mesh | None = None,
) -> Callable[[TrainState, HostBatch], TrainState]:
  """Several steps in one dispatch; metrics add up in the state.

  The function is that of one replica: the arrays of its host batch are
  `(steps, B, ...)`.
  """
  step = make_step(experiment, optimiser, mesh)

  def one(state: TrainState, host_batch: HostBatch) -> tuple[TrainState, None]:
    before = state.sums
    state, sums = step(state, experiment.task.batch(host_batch))
    return state._replace(sums=jax.tree.map(jnp.add, before, sums)), None

  def call(state: TrainState, host_batch: HostBatch) -> TrainState:
    # A loop of one turn would cost a CPU the parallelism inside its steps.
    turns = jax.tree.leaves(host_batch)[0].shape[0]
    return jax.lax.scan(one, state, host_batch, unroll=turns == 1)[0]

  return call


def initial_state(
  experiment: Experiment,
  optimiser: optax.GradientTransformation,
  seed: jax.Array,
) -> TrainState:
  """The state at step 0, a pure function of the seed."""
  params_key, noise_key = jax.random.split(jax.random.key(seed))
  model, task = experiment.model, experiment.task
  batch_size = experiment.train.batch_size
  frozen, params = initial_parts(experiment, params_key)
  state = TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimiser.init(params),
    ema=jax.tree.map(jnp.copy, params) if experiment.optim.ema else (),
    carry=model.initial_carry(batch_size),
    key=noise_key,
    sums=Sums({}, jnp.zeros(()), jnp.zeros(())),
    faults=finite.no_faults(),
    frozen=frozen,
  )
  stream = Stream(experiment.seed, TRAINING, batch_size)
  host_batch = task.rows(stream, 0, np.arange(batch_size))

  def sums(host_batch: HostBatch) -> Sums:
    batch, whole = task.batch(host_batch), materialise(frozen, params)
    _, metrics = read_batch(experiment, whole, state.carry, batch, noise_key)
    return sums_of(task, batch, metrics, jnp.zeros(()))

  zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(sums, host_batch))
  return state._replace(sums=zeros)


def read_batch(
  experiment: Experiment,
  params: Params,
  carry: Carry,
  batch: Batch,
  key: jax.Array,
) -> tuple[Carry, Metrics]:
  """Reads a batch segment by segment, with training noise; measures it whole.

  Gradients cross the boundaries inside groups of `bptt_segments` segments, and
  no other boundary.
  """
  model, task = experiment.model, experiment.task
  length = batch.reset_BT.shape[1]
  segments = length // (experiment.train.segment_length or length)
  group = experiment.train.bptt_segments
  params, batch = cast(params, batch, experiment.train.dtype)

  def segment(carry: Carry, xs: Any) -> tuple[Carry, jax.Array]:
    inputs, reset_BT, index = xs
    noise = jax.random.fold_in(key, index)
    return apply_body(model, params, carry, inputs, reset_BT, noise=noise)

  def chain(carry: Carry, xs: Any) -> tuple[Carry, jax.Array]:
    return jax.lax.scan(segment, jax.lax.stop_gradient(carry), xs)

  if segments == 1:
    carry, h_BTD = segment(carry, (batch.inputs, batch.reset_BT, 0))
  else:
    xs = (
      cut_time(batch.inputs, segments),
      cut_time(batch.reset_BT, segments),
      jnp.arange(segments),
    )
    grouped = jax.tree.map(lambda x: x.reshape(-1, group, *x.shape[1:]), xs)
    carry, h = jax.lax.scan(chain, carry, grouped)
    h = jnp.moveaxis(h.reshape(segments, *h.shape[2:]), 0, 1)
    h_BTD = h.reshape(h.shape[0], length, *h.shape[3:])
  return carry, measure_labels(model, task, params, h_BTD, batch)


def evaluate_batch(
  model: Model,
  task: Task,
  dtype: str,
  params: Params,
  carry: Carry,
  batch: Batch,
) -> tuple[Carry, Sums]:
  """Reads a batch without noise and measures it."""
  params, batch = cast(params, batch, dtype)
  carry, h_BTD = apply_body(model, params, carry, batch.inputs, batch.reset_BT)
  metrics = measure_labels(model, task, params, h_BTD, batch)
  return carry, Sums(
    metrics, invalid_ids(task, batch), lost_labels(task, batch)
  )


def cast(params: Params, batch: Batch, dtype: str) -> tuple[Params, Batch]:
  """Parameters and float inputs in the compute type."""

  def to(x: jax.Array) -> jax.Array:
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

  return jax.tree.map(to, params), batch._replace(inputs=to(batch.inputs))


def cut_time(x: jax.Array, segments: int) -> jax.Array:
  """`(B, T, ...)` to `(segments, B, T / segments, ...)`."""
  x = x.reshape(x.shape[0], segments, -1, *x.shape[2:])
  return jnp.moveaxis(x, 1, 0)
