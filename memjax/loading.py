"""A workdir as objects, on any machine, whatever trained it."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from memjax import experiment as experiments
from memjax.errors import require
from memjax.models.base import Memory
from memjax.training import workdir as workdirs
from memjax.training.load import best_step, load_arrays, load_item
from memjax.training.settings import Experiment
from memjax.types import Carry, Params


class Run(NamedTuple):
  """A trained model.

  Attributes:
    config: nested dicts.
    experiment: what the config describes, built.
    model: the model; `model.apply({'params': params}, carry, inputs, reset)`.
    params: its parameters, the moving average where the run keeps one.
    carry: the training batch's memory after the last step.
    step: optimiser steps taken.
    metrics: what was measured at that step, {'validation/loss': 1.2}.
  """

  config: dict[str, Any]
  experiment: Experiment
  model: Memory
  params: Params
  carry: Carry
  step: int
  metrics: dict[str, float]


def load(workdir: str | Path, step: int | str = 'latest') -> Run:
  """Reads a checkpoint; nothing in the workdir changes.

  Args:
    workdir: where a run is kept.
    step: 'latest', 'best' by the config's `checkpoint.best`, or a number.

  Raises:
    ConfigError: there is no such workdir or step, or it is damaged.
  """
  workdir = Path(workdir)
  config = workdirs.read_config(workdir)
  experiment = experiments.read(config)
  folder = workdir / 'checkpoints'
  number = step if isinstance(step, int) else None
  if step == 'best':
    kept = experiment.checkpoint
    require(bool(kept.best), 'checkpoint.best', '', 'names no metric')
    number = best_step(folder, kept.best, kept.best_is)
    require(number is not None, 'step', step, f'no step has a {kept.best}')
  else:
    require(
      step == 'latest' or number is not None,
      'step',
      step,
      'must be latest, best or a number',
    )
  item = 'ema' if experiment.optim.ema else 'params'
  loaded = load_arrays(folder, number, (item,))
  carry = jax.eval_shape(
    lambda: experiment.model.initial_carry(experiment.train.batch_size)
  )
  return Run(
    config=config,
    experiment=experiment,
    model=experiment.model,
    params=jax.tree.map(jnp.asarray, loaded.items[item]),
    carry=jax.tree.map(
      jnp.asarray, load_item(folder, 'carry', carry, loaded.step)
    ),
    step=loaded.step,
    metrics=loaded.metrics,
  )
