"""One cell of the suite: trains it, measures it, writes `result.json`.

    python -m experiments.suite.cell STUDY/TASK-MODEL-WIDTH [--runs=FOLDER]

A killed cell resumes from its checkpoint when it is started again.
"""

import argparse
import importlib
import json
from pathlib import Path
import sys
from typing import Any

import jax
from ml_collections import ConfigDict
import numpy as np

from experiments.suite.grid import Cell, cells
from memjax.analysis.score_by_distance import bin_edges, scores_by_distance
from memjax.config.reader import read_experiment
from memjax.configs.models import model as model_of
from memjax.errors import ConfigError, Diverged
from memjax.logs import metrics_file
from memjax.models.base import Memory
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.load import load_replicas
from memjax.tasks.base import GeneratedTask
from memjax.training.loop import train
from memjax.types import Params

RUNS = Path('runs/suite')
RESULT = 'result.json'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('name')
  parser.add_argument('--runs', type=Path, default=RUNS)
  given = parser.parse_args()
  (cell,) = [c for c in cells() if c.name == given.name]
  enable_compilation_cache()
  try:
    run(cell, given.runs / cell.name)
  except (ConfigError, Diverged) as error:
    sys.exit(str(error))


def run(cell: Cell, workdir: Path) -> None:
  """Trains to the end and writes the results."""
  experiment = read_experiment(configured(cell).to_dict())
  if not train(experiment, workdir, lambda *run: None):
    print(f'stopped and saved in {workdir}: the same command resumes')
    sys.exit(exit_codes.STOPPED)
  path = workdir / RESULT
  part = path.with_suffix('.part')
  part.write_text(json.dumps(measured(cell, workdir), indent=1))
  part.replace(path)


def configured(cell: Cell) -> ConfigDict:
  """The family's config with the cell's changes, all replicas inside."""
  family, _, variant = cell.family.partition(':')
  module = importlib.import_module(f'configs.{family}')
  config = module.get_config(variant).unlock()
  for path, value in cell.changes.items():
    section, field = path.split('.')
    config[section][field] = value
  config.model = model_of(cell.model, cell.width, cell.depth, cell.window)
  steps, rates = config.train.steps, each_rate(cell)
  config.train.replicas = len(rates)
  config.optim.learning_rate = cell.rates[0]
  if len(cell.rates) > 1:
    config.optim.per_replica = f'learning_rate={",".join(map(str, rates))}'
  config.parallel.data = 1
  config.log.every = steps // 20
  config.log.wandb.mode = 'disabled'
  config.checkpoint.update(every=steps // 4, best='', keep=1)
  rows = {'every': steps, 'batch_size': 100, 'steps': cell.batches}
  config.evals = ConfigDict(
    {name: rows | dict(fields) for name, fields in cell.evals.items()}
  )
  return config


def each_rate(cell: Cell) -> list[float]:
  """The learning rate of each replica; the seeds of a rate are consecutive."""
  return [rate for rate in cell.rates for _ in range(cell.seeds)]


def measured(cell: Cell, workdir: Path) -> dict[str, Any]:
  """The record of a cell: settings, cost and scores, one value per replica."""
  run = load_replicas(workdir)
  experiment = run.experiment
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  *_, last = experiment.evals.values()
  carry = jax.eval_shape(lambda: last.model.initial_carry(1))
  params = jax.tree.leaves(run.params)
  replicas = experiment.train.replicas
  scores = [
    {'split': row['split'], 'metric': metric, 'values': values}
    for row in rows
    if row['split'] in experiment.evals and row['step'] == run.step
    for metric, values in spread(row).items()
  ]
  return {
    'study': cell.study,
    'task': cell.task,
    'model': cell.model,
    'width': cell.width,
    'steps': run.step,
    'seeds': [experiment.seed + i for i in range(replicas)],
    'learning_rates': each_rate(cell),
    'parameters': sum(p.size for p in params) // replicas,
    'state_bytes': sum(
      leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry)
    ),
    'seconds': metrics_file.training_seconds(rows),
    'scores': scores,
    'curves': [
      curve_of(evaluation.model, run.params, evaluation.task)
      for evaluation in experiment.evals.values()
      if isinstance(evaluation.task, GeneratedTask)
      and evaluation.task.score_axis
    ],
  }


def spread(row: dict[str, Any]) -> dict[str, list[float]]:
  """{metric: one value per replica} of a row."""
  return row.get('replicas') or {k: [v] for k, v in row['metrics'].items()}


def curve_of(
  model: Memory, params_N: Params, task: GeneratedTask
) -> dict[str, Any]:
  """Metrics by distance or length, on rows like those of an evaluation set."""
  found = scores_by_distance(model, params_N, task, bin_edges(task))
  return {
    'score_axis': found.score_axis,
    'edges': found.edges.tolist(),
    'labels': found.labels.tolist(),
    'metrics': {
      name: [[x if np.isfinite(x) else None for x in one] for one in values]
      for name, values in found.metrics.items()
    },
  }


if __name__ == '__main__':
  main()
