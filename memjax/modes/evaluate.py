"""Measures evaluation sets on a checkpoint of a workdir, and keeps the rows."""

from collections.abc import Mapping, Sequence
import datetime
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from memjax.config import merge
from memjax.config.experiment import Experiment
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.config.sections import flatten
from memjax.errors import ConfigError, nearest, require
from memjax.guards.hosts import require_same
from memjax.guards.join import joined
from memjax.logs import documents_file, metrics_file
from memjax.modes.store_loss import StoreLoss, with_space
from memjax.modes.store_space import Reading, open_space
from memjax.report import summary
from memjax.runs import exit_codes, processes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.interface import Interface, read_interface
from memjax.runs.load import load
from memjax.runs.lock import InUse, lock
from memjax.runs.snapshot import WEIGHTS, Snapshot
from memjax.runs.workdir import differences, read_config
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.metrics import Row

ONE_HOST = {'coordinator': '', 'processes': 0, 'process': 0}


def evaluate(
  config: Mapping[str, Any],
  workdir: Path,
  *,
  overrides: Sequence[str] = (),
  set_name: str | None = None,
  step: int | str = 'latest',
  replica: int = 0,
  **reading: Any,
) -> int:
  """Prints the figures of evaluation sets, and appends them to the metrics.

  Args:
    config: the experiment; empty: the one that the workdir holds.
    workdir: the folder of a run.
    overrides: `--config.a.b=value` on top of the workdir's config.
    set_name: the set to measure; None: every set.
    step: 'latest', 'best' or a number.
    replica: number of the replica that reads a store.
    **reading: the fields of `store_loss.Reading`.
  """
  with_store = Reading(**reading)
  with_store.check()
  whole = measured_set(config or config_of(workdir, overrides), set_name)
  tokenizer = read_interface(workdir).tokenizer
  sets = [set_name] if set_name else list(whole['evals'])
  experiment = read_experiment(whole, tokenizer, sets)
  names = chosen_sets(experiment, set_name)
  own = bool(config) or any('config.parallel.' in o for o in overrides)
  with joined(experiment.parallel):
    require_same(experiment, workdir)
    if with_store.store:
      run = load(workdir, step, replica, carry=False)
      with open_space(run, with_store) as space:
        experiment = with_space(experiment, names, space, with_store, replica)
        measure_sets(experiment, names, workdir, run.step, fits=own)
    else:
      measure_sets(experiment, names, workdir, step, fits=own)
  return exit_codes.FINISHED


def measure_sets(
  experiment: Experiment,
  names: Sequence[str],
  workdir: Path,
  step: int | str,
  fits: bool,
) -> None:
  """Prints the figures of these sets, and appends them to the metrics.

  Args:
    experiment: has the sets.
    names: of the sets.
    workdir: the folder of the run.
    step: 'latest', 'best' or a number.
    fits: whether the parallel section was written for this machine.
  """
  enable_compilation_cache()
  snapshot = Snapshot(workdir, step)
  check_same_model(snapshot, experiment)
  params = jax.tree.map(jnp.asarray, snapshot.read(WEIGHTS))
  settings = experiment.parallel
  mesh = parallel.make_mesh(settings if fits else parallel.fitting(settings))
  parallel.check_divides(mesh, experiment)
  for name in names:
    evaluator = Evaluator(name, experiment, mesh)
    row = evaluator.row(snapshot.step, params, snapshot.diverged)
    row |= {
      'mode': metrics_file.EVAL,
      'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'overrides': changed_fields(snapshot.config, experiment.config, name),
    }
    evaluation = experiment.evals[name]
    if isinstance(evaluation, StoreLoss):
      row = evaluation.note(row)
    if processes.is_first():
      summary.print_evaluation(experiment, row)
      keep(row, workdir)


def config_of(workdir: Path, overrides: Sequence[str]) -> dict[str, Any]:
  """The workdir's config with the overrides, for this host alone.

  An override of the task or the model reaches every set that follows training
  in that field.

  Raises:
    ConfigError: the folder is not a workdir, or an override is wrong.
  """
  config = merge.reduce_sets(read_config(workdir))
  config['parallel'] = {**config['parallel'], **ONE_HOST}
  return override(config, overrides)


def measured_set(config: Mapping[str, Any], name: str | None) -> dict[str, Any]:
  """The config, whose named set is measured although training leaves it out."""
  sets = {**config['evals']}
  if name in sets and sets[name].get('every', 1) == 0:
    sets[name] = {**sets[name], 'every': 1}
  return {**config, 'evals': sets}


def chosen_sets(experiment: Experiment, name: str | None) -> list[str]:
  """The names of the sets to measure.

  Raises:
    ConfigError: there is no such set, or none at all.
  """
  rule = 'is empty: give at least one evaluation set'
  require(bool(experiment.evals), 'evals', {}, rule)
  if name is None:
    return list(experiment.evals)
  rule = f'is not an evaluation set; {nearest(name, experiment.evals)}'
  require(name in experiment.evals, 'set', name, rule)
  return [name]


def changed_fields(
  trained: Mapping[str, Any], config: Mapping[str, Any], name: str
) -> dict[str, Any]:
  """What decides about a set's figures and is not as in the run.

  {'task.length': 64}, with the fields of the set, the seed and `train.dtype`.
  """

  def fields(config: Mapping[str, Any], evaluation: Any) -> dict[str, Any]:
    general = {'seed': config['seed'], 'train.dtype': config['train']['dtype']}
    return general | {**flatten(evaluation), 'every': 0}  # changes no figure

  sets = trained['evals']
  before = fields(trained, sets.get(name, {}))
  return {
    field: value
    for field, value in fields(config, config['evals'][name]).items()
    if field not in before or before[field] != value
  }


def keep(row: Row, workdir: Path) -> None:
  """Appends a row to `metrics.jsonl`, or says why it is not kept."""
  path = workdir / 'metrics.jsonl'
  try:
    row = documents_file.move_documents(workdir, row)
    try:
      with lock(workdir):  # no run may write while an unfinished line is cut
        metrics_file.drop_partial_line(path)
        metrics_file.append_row(path, row)
    except InUse:
      metrics_file.append_row(path, row)
  except (ConfigError, OSError) as error:
    reason = error.rule if isinstance(error, ConfigError) else error.strerror
    print(f'  not kept: {path}: {reason}')
  else:
    print(f'  kept in {path}')


def check_same_model(snapshot: Snapshot, experiment: Experiment) -> None:
  """Requires a config with the trained model, its input and its output.

  The data may differ: an evaluation set may be longer or another corpus.
  """

  def fields(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
      'model': config['model'],
      'optim.ema': config['optim']['ema'],
      'train.replicas': config['train']['replicas'],
    }

  task = experiment.task
  interface = Interface(task.input_spec, task.output_spec, task.text_tokenizer)
  trained, config = fields(snapshot.config), fields(experiment.config)
  differing = differences(trained, config)
  if not differing and snapshot.interface != interface:
    differing = ['the task has another input, output or tokenizer']
  rule = f'was trained with another config: {"; ".join(differing)}'
  require(not differing, 'workdir', str(snapshot.workdir), rule)
