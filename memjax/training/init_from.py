"""A run whose initial parameters are those of another run."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError, require
from memjax.runs import manifest
from memjax.runs.frozen import Frozen, materialise
from memjax.runs.snapshot import Snapshot
from memjax.training.adapt import with_base
from memjax.training.program import Program
from memjax.training.state import TrainState
from memjax.types import Params


def initial_state(run: Program, source: str) -> TrainState:
  """The state at step 0, with the parameters of a workdir's newest step.

  The carry and the metrics are those of a new run, and so is the optimiser's
  state: where it begins with the parameters, with these. The parameters of one
  replica are given to all. What `adapt.trainable` finds may be missing in the
  other run, and is random.

  Args:
    run: the run to train.
    source: the workdir of the other run; empty: random parameters.

  Raises:
    ConfigError: the workdir has no undamaged checkpoint, or its parameters have
      other shapes: another model or another number of replicas.
  """
  if not source:
    return run.initial_state()
  abstract = run.abstract
  try:
    found = Snapshot(source, items=('params',)).read('params')
    (replicas,) = abstract.key.shape
    found = jax.tree.map(lambda x: _for_each(x, replicas), found)
    _check(found, abstract.frozen, abstract.params, source)
  except ConfigError as error:
    raise ConfigError('train.init_from', source, str(error)) from None
  state = run.initial_state()
  parts = with_base(state.frozen, state.params, found)
  wanted = abstract.frozen, abstract.params
  frozen, params = jax.tree.map(_place, parts, wanted)
  return run.restart(state._replace(frozen=frozen, params=params))


def state_with(run: Program, found: Params) -> TrainState:
  """The state at step 0 with given parameters, `(N, ...)` numpy arrays.

  Random parameters are not computed, so the optimiser's state must not depend
  on them.

  Raises:
    ConfigError: the run trains a part of the model.
  """
  rule = 'must be empty here: adapt in a run that begins with train.init_from'
  require(not run.abstract.frozen, 'adapt', '', rule)
  rest = jax.jit(lambda: run.initial_state()._replace(params=(), ema=()))()
  params = jax.tree.map(_place, found, run.abstract.params)
  keeps_ema = run.abstract.ema != ()
  ema = jax.tree.map(jnp.copy, params) if keeps_ema else ()
  return rest._replace(params=params, ema=ema)


def _check(found: Params, frozen: Frozen, params: Params, source: str) -> None:
  """Requires these parameters to be the model's, by shape and type."""
  whole = jax.eval_shape(materialise, frozen, params)
  wanted = manifest.leaf_types({'params': whole})
  there = manifest.leaf_types({'params': found})
  trained = params.get('whole', {}) if frozen else {}
  missing = manifest.leaf_types({'params': trained}).keys() - there.keys()
  wanted = {path: leaf for path, leaf in wanted.items() if path not in missing}
  manifest.require_leaves(there, wanted, Path(source))


def _for_each(array: np.ndarray, replicas: int) -> np.ndarray:
  """The array of one replica, for each of them; that of several as it is."""
  one, *shape = array.shape
  return np.broadcast_to(array, (replicas if one == 1 else one, *shape))


def _place(array: Any, wanted: jax.ShapeDtypeStruct) -> Any:
  if isinstance(array, jax.Array):
    return array
  return jax.make_array_from_callback(
    wanted.shape, wanted.sharding, lambda index: array[index]
  )
