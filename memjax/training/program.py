"""The compiled functions of a run, and where their arrays lie."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import optax

from memjax.config.experiment import Experiment
from memjax.guards import finite, memory
from memjax.guards.finite import Faults, Health
from memjax.logs import hardware
from memjax.tasks.base import Stream
from memjax.training import parallel, replicas
from memjax.training.adapt import initial_parts
from memjax.training.optimisers.adalora import adapted
from memjax.training.optimisers.optim import check_step, optimiser
from memjax.training.optimisers.schedules import NO_OVERRIDES, Overrides
from memjax.training.state import TRAINING, TrainState, initial_params
from memjax.training.step import initial_state, make_call, read_batch
from memjax.types import HostBatch, Sums


class Program(NamedTuple):
  """The functions of a run; each is compiled once, when first called.

  Attributes:
    abstract: the state's shapes, types and shardings.
    initial_state: the state at step 0.
    restart: the state with the optimiser and the average of its parameters as
      they are before a first step; donates its buffers.
    advance: the state after the steps of one host batch; donates the buffers
      of the given state; refuses a step that does not fit in memory.
    pop_metrics: the state with its sums at zero, and the sums and the faults
      that it had.
    examine: the state's faults, and whether all of it is finite, on the host.
  """

  abstract: TrainState
  initial_state: Callable[[], TrainState]
  restart: Callable[[TrainState], TrainState]
  advance: Callable[[TrainState, HostBatch], TrainState]
  pop_metrics: Callable[[TrainState], tuple[TrainState, tuple[Sums, Faults]]]
  examine: Callable[[TrainState], Health]


def program(experiment: Experiment, mesh: Mesh) -> Program:
  """The functions that train this experiment on this mesh.

  Raises:
    ConfigError: the mesh does not divide the batch, or the optim section does
      not describe an optimiser that can take a step on these parameters, or not
      one for each replica; or the run does not fit in memory.
  """
  limit = memory.memory_limit(mesh)
  memory.check_rows(experiment, limit)
  parallel.check_divides(mesh, experiment)
  count, steps = experiment.train.replicas, experiment.train.steps
  overrides_N = replicas.per_replica_overrides(experiment.optim, count)

  def first(seed: jax.Array) -> TrainState:
    return initial_state(experiment, transformation(experiment), seed)

  def call(
    state: TrainState, host_batch: HostBatch, overrides: Overrides
  ) -> TrainState:
    own = transformation(experiment, overrides)
    return make_call(experiment, own, mesh)(state, host_batch)

  first_of_each = replicas.each(first, count, mesh, (0,), replicas.STATE_AXES)
  call_of_each = replicas.each(
    call, count, mesh, (replicas.STATE_AXES, 0, 0), replicas.STATE_AXES
  )

  def first_state() -> TrainState:
    return first_of_each(jnp.asarray(replicas.seeds(experiment.seed, count)))

  def advance(state: TrainState, host_batch: HostBatch) -> TrainState:
    return call_of_each(state, host_batch, overrides_N)

  def pop_metrics(
    state: TrainState,
  ) -> tuple[TrainState, tuple[Sums, Faults]]:
    zero = jax.tree.map(jnp.zeros_like, state.sums)
    return state._replace(sums=zero), (state.sums, state.faults)

  frozen, params = jax.eval_shape(
    lambda: initial_parts(experiment, jax.random.key(experiment.seed))
  )
  memory.check_model(experiment, frozen, params, mesh, limit)
  check_step(experiment.optim, steps, params, overrides_N)
  abstract = parallel.placed(mesh, jax.eval_shape(first_state))
  memory.check_state(experiment, abstract, limit)
  places = jax.tree.map(lambda leaf: leaf.sharding, abstract)
  whole = parallel.replicated(mesh)
  jitted = jax.jit(advance, donate_argnums=0, out_shardings=places)
  return Program(
    abstract=abstract,
    initial_state=jax.jit(first_state, out_shardings=places),
    restart=restarter(experiment, mesh, places),
    advance=memory.CheckedStep(jitted, experiment, limit),
    pop_metrics=jax.jit(
      pop_metrics, donate_argnums=0, out_shardings=(places, whole)
    ),
    examine=examiner(experiment, mesh),
  )


def transformation(
  experiment: Experiment, overrides: Overrides = NO_OVERRIDES
) -> optax.GradientTransformationExtraArgs:
  """The optimiser of a run, with floats of one replica."""
  steps = experiment.train.steps
  plain = optimiser(experiment.optim, steps, overrides)
  return adapted(experiment.adapt, plain, steps)


def restarter(
  experiment: Experiment, mesh: Mesh, places: TrainState
) -> Callable[[TrainState], TrainState]:
  """Gives a state the optimiser and the average of before a first step."""

  def one(state: TrainState) -> TrainState:
    fresh = transformation(experiment).init(state.params)
    ema = jax.tree.map(jnp.copy, state.params) if state.ema != () else ()
    return state._replace(opt_state=fresh, ema=ema)

  count, axes = experiment.train.replicas, replicas.STATE_AXES
  each = replicas.each(one, count, mesh, (axes,), axes)
  return jax.jit(each, donate_argnums=0, out_shardings=places)


def examiner(
  experiment: Experiment, mesh: Mesh
) -> Callable[[TrainState], Health]:
  """Reads the health of a state's replicas, numpy arrays (N,)."""
  one = functools.partial(finite.health, experiment.model)
  count = experiment.train.replicas
  health = replicas.each(one, count, mesh, (replicas.STATE_AXES,), 0)
  examine = jax.jit(health, out_shardings=parallel.replicated(mesh))
  return lambda state: parallel.to_host(examine(state))


def step_flops(experiment: Experiment) -> int:
  """Floating point operations of the model in one step of all replicas.

  Three times the matrix products of the forward pass: the backward pass has two
  for each. What it computes again to save memory does not count.
  """
  model, task, train = experiment.model, experiment.task, experiment.train
  key = jax.random.key(0)
  params = jax.eval_shape(lambda: initial_params(model, task, key))
  carry = jax.eval_shape(lambda: model.initial_carry(train.batch_size))
  stream = Stream(experiment.seed, TRAINING, train.batch_size)
  rows = task.rows(stream, 0, np.arange(train.batch_size))
  batch = jax.eval_shape(task.batch, rows)
  forward = functools.partial(read_batch, experiment)
  jaxpr = jax.make_jaxpr(forward)(params, carry, batch, key)
  return 3 * train.replicas * hardware.matmul_flops(jaxpr.jaxpr)
