"""Everything a run is at one step, and nothing else."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memjax.config.experiment import Experiment
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Carry, Metrics, Params

TRAINING = 0  # the stream's index; evaluation sets have others


class TrainState(NamedTuple):
  """What is saved, restored, sharded and donated.

  Attributes:
    step: int32, optimiser steps taken.
    params: float32 parameters.
    opt_state: the optimiser's.
    ema: moving average of the parameters, or () without one.
    carry: the memory after the last batch, rows of the batch first.
    key: what the noise of every step is drawn from.
    sums: metrics since the last row was written, as sums and counts.
  """

  step: jax.Array
  params: Params
  opt_state: Any
  ema: Params
  carry: Carry
  key: jax.Array
  sums: Metrics

  @property
  def evaluated(self) -> Params:
    """The parameters that evaluations and samples use."""
    return self.ema if self.ema != () else self.params


def initial_params(model: Memory, task: Task, key: jax.Array) -> Params:
  """Fresh parameters; they depend on the key, not on length or batch."""
  feed = task.rows(Stream(0, TRAINING, 1), 0, np.arange(1))
  inputs = jnp.zeros_like(task.batch(feed).inputs[:, :1])
  reset_BT = jnp.ones((1, 1), bool)
  return model.init(key, model.initial_carry(1), inputs, reset_BT)['params']


def initial_state(
  experiment: Experiment,
  optimiser: optax.GradientTransformation,
  seed: jax.Array,
) -> TrainState:
  """Step 0, a pure function of the seed; the sums are still to be named."""
  params_key, noise_key = jax.random.split(jax.random.key(seed))
  model, task = experiment.model, experiment.task
  params = initial_params(model, task, params_key)
  ema = jax.tree.map(jnp.copy, params) if experiment.optim.ema else ()
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimiser.init(params),
    ema=ema,
    carry=model.initial_carry(experiment.train.batch_size),
    key=noise_key,
    sums={},
  )
