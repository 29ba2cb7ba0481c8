"""A run whose initial parameters are those of another run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError
from memjax.runs.snapshot import Snapshot
from memjax.training.program import Program
from memjax.training.state import TrainState
from memjax.types import Params


def initial_state(run: Program, source: str) -> TrainState:
  """The state at step 0, with the parameters of a workdir's newest step.

  The optimiser's state, the carry and the metrics are those of a new run.

  Args:
    run: the run to train.
    source: the workdir of the other run; empty: random parameters.

  Raises:
    ConfigError: the workdir has no undamaged checkpoint, or its parameters have
      other shapes: another model or another number of replicas.
  """
  if not source:
    return run.initial_state()
  wanted = run.abstract.params
  try:
    found = Snapshot(source, items=('params',)).read('params', wanted)
  except ConfigError as error:
    raise ConfigError('train.init_from', source, str(error)) from None
  state = run.initial_state()
  params = jax.tree.map(_place, found, wanted)
  ema = jax.tree.map(jnp.copy, params) if state.ema != () else ()
  return state._replace(params=params, ema=ema)


def state_with(run: Program, found: Params) -> TrainState:
  """The state at step 0 with given parameters, `(N, ...)` numpy arrays.

  Random parameters are not computed, so the optimiser's state must not depend
  on them.
  """
  rest = jax.jit(lambda: run.initial_state()._replace(params=(), ema=()))()
  params = jax.tree.map(_place, found, run.abstract.params)
  keeps_ema = run.abstract.ema != ()
  ema = jax.tree.map(jnp.copy, params) if keeps_ema else ()
  return rest._replace(params=params, ema=ema)


def _place(array: np.ndarray, wanted: jax.ShapeDtypeStruct) -> Any:
  return jax.make_array_from_callback(
    wanted.shape, wanted.sharding, lambda index: array[index]
  )
