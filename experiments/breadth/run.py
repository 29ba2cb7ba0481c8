"""Short runs of tasks of language, sound, pictures and families.

    python -m experiments.breadth.run [--only=mentions ...] [--models ...]

Prints a table for each study: the last figures of each memory, and of mentions
the accuracy by distance, each the median of its replicas and their least and
most; then those of readers without a model. The same command resumes.
"""

import argparse
from collections.abc import Mapping, Sequence
import itertools
from pathlib import Path
import subprocess
import sys
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.breadth.baselines import baselines
from memjax.analysis.score_by_distance import scores_by_distance
from memjax.logs import metrics_file
from memjax.runs.load import load_replicas
from memjax.tasks.language.mentions import Mentions

EDGES = np.array([1, 8, 16, 32, 64])  # of distances in mentions


class Study(NamedTuple):
  """What is trained, and what is shown of it.

  Attributes:
    config: the file in configs/ and the variant before the memory's name.
    models: the memories; after a `+`, a change of CHANGES.
    flags: the settings that differ from the config.
    figures: {evaluation set: metrics}.
  """

  config: str
  models: tuple[str, ...]
  flags: Mapping[str, Any]
  figures: Mapping[str, tuple[str, ...]]


CONVOLUTION = {  # in place of the first of two layers
  'model.pattern': 'convolution layer',
  'model.others.convolution.name': 'base_conv.BaseConv',
}
CHANGES: dict[str, dict[str, Any]] = {
  '': {},
  'convolution': CONVOLUTION,
  'convolution_64': CONVOLUTION | {'model.max_positions': 64},
  'one_tap': {
    'model.layer.name': 'experiments.breadth.without_convolution'
    '.DeltaNetWithoutConvolution'
  },
}
SMALL = {
  'train.replicas': 3,
  'train.batch_size': 32,
  'model.width': 32,
  'optim.learning_rate': 3e-3,
  'optim.warmup_steps': 50,
}
STUDIES = {
  'mentions': Study(
    'recall.py:mentions-',
    (
      *('lstm', 'gru', 'transformer', 'expire_span', 'linear_attention'),
      *('gla', 'delta_net', 'gated_delta_net', 'mamba2', 'min_gru'),
      *('delta_net+one_tap', 'gru+convolution', 'transformer+convolution_64'),
      'linear_attention+convolution',
    ),
    SMALL
    | {
      'task.length': 64,
      'task.entities': 4,
      'task.names': 16,
      'task.fillers': 16,
      'task.density': 1.0,
      'train.batch_size': 16,
      'train.steps': 1000,
      'optim.learning_rate': 2e-3,
      'optim.schedule': 'constant',
      'optim.weight_decay': 0.0,
      'evals.length_1024.every': 0,
      'evals.entities_32.every': 0,
    },
    {'held_out': ('accuracy',)},
  ),
  'kinship': Study(
    'kinship.py:',
    ('lstm', 'relational_memory', 'transformer'),
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
    SMALL
    | {
      'task.pool': 5,
      'model.width': 64,
      'train.steps': 2500,
      'optim.learning_rate': 1e-3,
      'optim.schedule': 'constant',
    },
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
  parser.add_argument('--models', nargs='*', help='of the study; default: all')
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
    for model in given.models or study.models:
      workdir = given.runs / name / model
      subprocess.run(command(study, model, workdir), check=True)
      rows.append([model, *figures(study, workdir)])
      if name == 'mentions':
        rows[-1] += by_distance(workdir)
    if name == 'mentions':
      rows.append(['without names', *without_names(workdir)])
    experiment = load_replicas(workdir, carry=False).experiment
    rows += baselines(experiment, study.figures)
    print('\n'.join(f'| {" | ".join(row)} |' for row in rows), flush=True)


def command(study: Study, model: str, workdir: Path) -> list[str]:
  """The command that trains a memory."""
  model, _, change = model.partition('+')
  settings = {**study.flags, **CHANGES[change], 'log.wandb.mode': 'disabled'}
  sets = {f'evals.{s}.every': study.flags['train.steps'] for s in study.figures}
  words = [f'--config.{k}={v}' for k, v in (settings | sets).items()]
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*launch, f'--config=configs/{study.config}{model}', *words]


def figures(study: Study, workdir: Path) -> list[str]:
  """The last figures of a run."""
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  last = {row['split']: row['replicas'] for row in rows if 'replicas' in row}
  return [
    middle(last[s][m]) for s, metrics in study.figures.items() for m in metrics
  ]


def middle(values: Sequence[float]) -> str:
  """The median, and the least and the most."""
  return f'{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})'


def by_distance(workdir: Path) -> list[str]:
  """The accuracy of a run by label distance."""
  run = load_replicas(workdir, carry=False)
  task = run.experiment.task
  found = scores_by_distance(run.model, run.params, task, EDGES)
  return [middle(accuracy_N) for accuracy_N in found.metrics['accuracy'].T]


def without_names(workdir: Path) -> list[str]:
  """The accuracy of `guess_by_cues` on all labels and by label distance."""
  run = load_replicas(workdir, carry=False)
  task = run.experiment.task
  assert isinstance(task, Mentions)

  def read(_: Any, __: Any, carry: Any, inputs: Any, ___: Any) -> Any:
    guess_BTC = guess_by_cues(np.asarray(inputs), task.types, task.cues)
    return carry, jnp.asarray(guess_BTC)[None]

  whole = EDGES[[0, -1]]
  return [
    f'{accuracy:.3f}'
    for edges in (whole, EDGES)
    for accuracy in scores_by_distance(
      run.model, run.params, task, edges, read=read
    ).metrics['accuracy'][0]
  ]


def guess_by_cues(token_BT: np.ndarray, types: int, cues: int) -> np.ndarray:
  """`(B, T, C)`, the best answer to mentions if all names were one.

  It is the type that most entities have of those introduced so far, and at the
  end the type of the first one, which the last mention names.
  """
  cue_BT = token_BT < types * cues
  kind_BT = np.where(cue_BT, token_BT // cues, 0)
  first_B = kind_BT[:, 0]
  kind_BTC = np.eye(types, dtype=np.float32)[kind_BT] * cue_BT[..., None]
  guess_BTC = kind_BTC.cumsum(axis=1)
  guess_BTC[:, -1] = np.eye(types)[first_B]
  return guess_BTC


if __name__ == '__main__':
  main()
