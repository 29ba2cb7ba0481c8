"""Short runs of tasks of language, sound, pictures and families.

    python -m experiments.breadth.run [--only=mentions ...] [--runs=FOLDER]

Prints a table for each study: the last figures of each memory, and of mentions
the accuracy by distance. The same command resumes.
"""

import argparse
from collections.abc import Mapping
import itertools
from pathlib import Path
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

import memjax
from memjax.analysis.score_by_distance import scores_by_distance
from memjax.logs import metrics_file

EDGES = np.array([1, 8, 16, 32, 64])  # of distances in mentions


class Study(NamedTuple):
  """What is trained, and what is shown of it.

  Attributes:
    config: the file in configs/ and the variant before the memory's name.
    models: the memories.
    flags: the settings that differ from the config.
    figures: {evaluation set: metrics}.
  """

  config: str
  models: tuple[str, ...]
  flags: Mapping[str, Any]
  figures: Mapping[str, tuple[str, ...]]


SMALL = {
  'train.batch_size': 32,
  'model.width': 32,
  'optim.learning_rate': 3e-3,
  'optim.warmup_steps': 50,
}
STUDIES = {
  'mentions': Study(
    'recall.py:mentions-',
    (
      *('lstm', 'gru', 'transformer', 'adaptive_span', 'expire_span'),
      *('gated_delta_net', 'linear_attention', 'relational_memory', 'rwkv7'),
    ),
    SMALL
    | {
      'task.length': 64,
      'task.entities': 4,
      'task.names': 32,
      'train.steps': 1000,
      'evals.length_1024.every': 0,
      'evals.entities_32.every': 0,
    },
    {'held_out': ('accuracy',)},
  ),
  'kinship': Study(
    'kinship.py:',
    ('gru', 'transformer', 'relational_memory'),
    SMALL
    | {'task.longest': 3, 'task.facts': 5, 'task.names': 16}
    | {'train.steps': 1500}
    | {f'evals.facts_{n}.every': 0 for n in (6, 7, 8, 9, 10)},
    {'held_out': ('accuracy',), 'facts_5': ('accuracy',)},
  ),
  'tones': Study(
    'tones.py:',
    ('gru', 'gated_delta_net', 'transformer'),
    SMALL | {'train.steps': 1000},
    {'held_out': ('accuracy',), 'twice': ('accuracy',)},
  ),
  'sort_of_clevr': Study(
    'sort_of_clevr.py:',
    ('gru', 'transformer', 'relational_memory'),
    SMALL | {'model.width': 64, 'train.steps': 1000},
    {'held_out': ('accuracy', 'non_relational', 'relational')},
  ),
  'masked': Study(
    'masked.py:',
    ('full_attention', 'both_ways'),
    SMALL
    | {
      'task.task.length': 64,
      'model.width': 64,
      'model.depth': 2,
      'train.steps': 400,
      'evals.validation.steps': 64,
    },
    {'validation': ('loss', 'accuracy')},
  ),
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--only', nargs='*', default=[*STUDIES], choices=STUDIES)
  parser.add_argument('--runs', type=Path, default=Path('runs/breadth'))
  given = parser.parse_args()
  for name in given.only:
    study = STUDIES[name]
    titles = [
      f'{s} {m}' for s, metrics in study.figures.items() for m in metrics
    ]
    if name == 'mentions':
      titles += [f'{a}-{b - 1}' for a, b in itertools.pairwise(EDGES)]
    rows = [[name, *titles]]
    for model in study.models:
      workdir = given.runs / name / model
      subprocess.run(command(study, model, workdir), check=True)
      rows.append([model, *figures(study, workdir)])
      if name == 'mentions':
        rows[-1] += by_distance(workdir)
    print('\n'.join(f'| {" | ".join(row)} |' for row in rows), flush=True)


def command(study: Study, model: str, workdir: Path) -> list[str]:
  """The command that trains a memory."""
  settings = {**study.flags, 'log.wandb.mode': 'disabled'}
  sets = {f'evals.{s}.every': study.flags['train.steps'] for s in study.figures}
  words = [f'--config.{k}={v}' for k, v in (settings | sets).items()]
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*launch, f'--config=configs/{study.config}{model}', *words]


def figures(study: Study, workdir: Path) -> list[str]:
  """The last figures of a run."""
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  last = {row['split']: row['metrics'] for row in rows}
  return [
    f'{last[s][m]:.3f}' for s, metrics in study.figures.items() for m in metrics
  ]


def by_distance(workdir: Path) -> list[str]:
  """The accuracy of a run by label distance."""
  run = memjax.load(workdir)
  params_N = jax.tree.map(lambda x: x[None], run.params)
  task = run.experiment.task
  found = scores_by_distance(run.model, params_N, task, EDGES)
  return [f'{a:.3f}' for a in found.metrics['accuracy'][0]]


if __name__ == '__main__':
  main()
