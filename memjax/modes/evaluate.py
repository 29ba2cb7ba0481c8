"""Evaluates the newest checkpoint of a workdir."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.errors import require
from memjax.report import summary
from memjax.runs import exit_codes, processes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.snapshot import WEIGHTS, Snapshot
from memjax.runs.workdir import Interface, differences, read_interface
from memjax.training import parallel
from memjax.training.evaluation import Evaluator


def evaluate(config: Mapping[str, Any], workdir: Path) -> int:
  """Prints the figures of every evaluation set for the newest checkpoint."""
  tokenizer = read_interface(workdir).tokenizer
  experiment = read_experiment(config, tokenizer)
  require(
    bool(experiment.evals),
    'evals',
    {},
    'is empty: give at least one evaluation set',
  )
  processes.connect(experiment.parallel)
  enable_compilation_cache()
  snapshot = Snapshot(workdir)
  check_same_model(snapshot, experiment)
  params = jax.tree.map(jnp.asarray, snapshot.read(WEIGHTS))
  mesh = parallel.make_mesh(experiment.parallel)
  parallel.check_divides(mesh, experiment)
  for name in experiment.evals:
    row = Evaluator(name, experiment, mesh).row(snapshot.step, params)
    if processes.is_first():
      summary.print_evaluation(experiment, row)
  return exit_codes.FINISHED


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
