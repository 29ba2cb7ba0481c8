"""Loads a trained model from a workdir, on any machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.config.build import build_model
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.data.tokenizers import Tokenizer
from memjax.errors import require
from memjax.models.base import Memory, Model
from memjax.runs.export import SUFFIX, Export, read_export, write_export
from memjax.runs.interface import interface_from_json, interface_to_json
from memjax.runs.snapshot import WEIGHTS, Snapshot
from memjax.types import Carry, Params


class Run(NamedTuple):
  """A trained model.

  Attributes:
    config: the run's config, as nested dicts.
    model: the model; `model.apply({'params': params}, carry, inputs, reset)`.
    params: its parameters: the moving average if the run keeps one. `load`
      gives those of one replica, `load_replicas` `(N, ...)`.
    carry: the memory of the training batch after this step, likewise; None if
      it was not loaded.
    tokenizer: encodes and decodes text; None if the task is not text.
    step: number of optimiser steps taken.
    metrics: figures measured at this step, such as {'validation/loss': 1.2}.
  """

  config: dict[str, Any]
  model: Model
  params: Params
  carry: Carry
  tokenizer: Tokenizer | None
  step: int
  metrics: dict[str, Any]

  def __repr__(self) -> str:
    """One line; the arrays are in `params` and `carry`."""
    model, leaves = self.config['model'], jax.tree.leaves(self.params)
    name, count = model['name'], sum(leaf.size for leaf in leaves)
    if 'layer' in model:
      name += f' of {model["layer"]["name"]}'
    task = self.config['task']['name']
    return f'Run({task}, {name}, {count:,} parameters, step {self.step})'

  def save(self, path: str | Path) -> None:
    """Writes the parameters and all that `load` needs into one file.

    Args:
      path: `weights.safetensors`; see `memjax/runs/export.py`. The carry is not
        in it.

    Raises:
      ConfigError: the file cannot be written.
    """
    model = self.model
    interface = interface_to_json(
      model.input_spec, model.output_spec, self.tokenizer
    )
    content = Export(
      self.params, self.config, interface, self.step, self.metrics
    )
    write_export(Path(path), content)

  @property
  def experiment(self) -> Experiment:
    """The experiment that the config describes; needs the task's data.

    All text is encoded with the run's tokenizer.
    """
    return read_experiment(self.config, self.tokenizer)


def load(
  workdir: str | Path,
  step: int | str = 'latest',
  replica: int = 0,
  *,
  carry: bool = True,
) -> Run:
  """Loads one replica of a trained model; nothing in the workdir changes.

  A file that `Run.save` or `--mode=export` wrote is loaded as well: it is one
  step of one replica, without a carry.

  If the newest step is damaged, a warning is logged and the previous step is
  loaded.

  Args:
    workdir: the folder of a run, or the exported file.
    step: 'latest', 'best' by the config's `checkpoint.best`, or a number. With
      several replicas, the best step is the one with the best median.
    replica: number of the replica, from 0.
    carry: False loads the parameters only; the memory of the step may then be
      large, damaged or deleted.

  Raises:
    ConfigError: the workdir, the step or the replica does not exist, or the
      step is damaged.
  """
  if str(workdir).endswith(SUFFIX):
    return load_file(Path(workdir))
  run = load_replicas(workdir, step, carry=carry)
  replicas = run.config['train']['replicas']
  rule = f'the run has {replicas} replica(s), numbered from 0'
  require(0 <= replica < replicas, 'replica', replica, rule)
  params, memory = jax.tree.map(lambda x: x[replica], (run.params, run.carry))
  figures = {
    name: float(np.broadcast_to(value, replicas)[replica])
    for name, value in run.metrics.items()
  }
  return run._replace(params=params, carry=memory, metrics=figures)


def load_file(path: Path) -> Run:
  """The model of an exported file; see `memjax/runs/export.py`.

  Raises:
    ConfigError: the file cannot be read or is damaged.
  """
  export = read_export(path)
  interface = interface_from_json(export.interface)
  reads, answers, tokenizer = interface
  return Run(
    config=export.config,
    model=build_model(export.config['model'], reads, answers),
    params=jax.tree.map(jnp.asarray, export.params),
    carry=None,
    tokenizer=tokenizer,
    step=export.step,
    metrics=export.metrics,
  )


def load_replicas(
  workdir: str | Path, step: int | str = 'latest', *, carry: bool = True
) -> Run:
  """Loads all replicas of a trained model, as `load` loads one.

  Params and carry are `(N, ...)`, also if N is 1. If N is above 1, metrics are
  lists of N.
  """
  items = (WEIGHTS, 'carry') if carry else (WEIGHTS,)
  return run_of(Snapshot(workdir, step, items), carry=carry)


def run_of(snapshot: Snapshot, *, carry: bool = True) -> Run:
  """The snapshot's model, with all replicas, as `load_replicas` returns it."""
  config = snapshot.config
  reads, answers, tokenizer = snapshot.interface
  model = build_model(config['model'], reads, answers)
  params = snapshot.read(WEIGHTS)
  memory = None
  if carry:
    memory = snapshot.read('carry', _carry_shapes(model, config['train']))
  return Run(
    config=config,
    model=model,
    params=jax.tree.map(jnp.asarray, params),
    carry=jax.tree.map(jnp.asarray, memory),
    tokenizer=tokenizer,
    step=snapshot.step,
    metrics=snapshot.metrics,
  )


def _carry_shapes(model: Memory, train: Mapping[str, Any]) -> Carry:
  """Shapes and types of the carry of the training batches, `(N, B, ...)`."""
  carry = jax.eval_shape(lambda: model.initial_carry(train['batch_size']))
  return jax.tree.map(
    lambda s: jax.ShapeDtypeStruct((train['replicas'], *s.shape), s.dtype),
    carry,
  )
