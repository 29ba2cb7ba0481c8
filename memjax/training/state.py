"""The training state: all that a run needs to go on from one step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.guards.finite import Faults
from memjax.models.base import Memory
from memjax.runs.frozen import Frozen, merged
from memjax.tasks.base import TRAINING, Stream, Task
from memjax.types import Carry, Params, Sums

SHARED = ('step',)  # the fields of a state that all replicas have in common


class TrainState(NamedTuple):
  """What is saved, restored, sharded and donated.

  Every array of a run's state is `(N, ...)`, one entry a replica, also if N is
  1. The fields that SHARED names have no such axis. The training step sees one
  replica, without the axis.

  Attributes:
    step: int32, optimiser steps taken.
    params: float32 parameters that are trained; the model's, if none is frozen.
    opt_state: the optimiser's state.
    ema: moving average of the parameters, or () without one.
    carry: the memory after the last batch, rows of the batch first.
    key: the key of the training noise; each step folds its number in.
    sums: of metrics, since the last training row.
    faults: the steps that were not taken, as a value was not finite.
    frozen: what is not trained, or () without it; see `runs/frozen.py`. It is
      saved once.
  """

  step: jax.Array
  params: Params
  opt_state: Any
  ema: Params
  carry: Carry
  key: jax.Array
  sums: Sums
  faults: Faults
  frozen: Frozen = ()

  @property
  def evaluated(self) -> Params:
    """The model's parameters, for evaluations and samples."""
    trained = self.ema if self.ema != () else self.params
    return merged(self.frozen, trained) if self.frozen else trained


def initial_params(model: Memory, task: Task, key: jax.Array) -> Params:
  """Initial parameters; they depend on the key, not on length or batch size."""
  host_batch = task.rows(Stream(0, TRAINING, 1), 0, np.arange(1))
  inputs = jnp.zeros_like(task.batch(host_batch).inputs[:, :1])
  reset_BT = jnp.ones((1, 1), bool)
  return model.init(key, model.initial_carry(1), inputs, reset_BT)['params']
