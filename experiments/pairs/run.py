"""Answers that small models write: first lines of docstrings, and dialogue.

    python -m experiments.pairs.run [--only=dialogues] [--runs=FOLDER]

Trains each model on each corpus, and prints the figures of what it writes for
the validation pairs, greedily, beside two answers without a model: that of the
train pair whose source is most like this one by BM25, and the most frequent
answer. `trained` is the same figure on pairs of the train split. Figures are
those of the evaluation with the least validation loss. A second table has the
loss by the number of tokens of the source, with the parameters of that
evaluation. The same command resumes.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
import itertools
from pathlib import Path
import subprocess
import sys
from typing import Any

import jax
import numpy as np

from experiments.pairs import dialogues
import memjax
from memjax.analysis.programs import forward, initial_carry, measure
from memjax.analysis.streams import NUMBER, batch_at
from memjax.data.bm25 import BM25
from memjax.data.pair_files import Pair
from memjax.evaluation.overlap import FIGURES
from memjax.evaluation.text_scores import bleu, overlap, rouge_l
from memjax.logs import metrics_file
from memjax.tasks.base import Stream
from memjax.tasks.language.pairs import Pairs
from memjax.types import Batch

EVERY = 150  # steps between evaluations
EDGES = (0, 8, 16, 32, 64, 128)  # of the number of tokens of a source
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
  # {name: its variant of configs/pairs.py, and further settings}
  'none': ('none', {}),
  'additive': ('none', {'model.attention': 'additive'}),
  'both_ways': ('additive', {}),
  'lstm': ('lstm', {}),
}
SHARED = {
  'task.tokens': 'bpe',
  'task.vocab': 1024,
  'model.width': 128,
  'model.depth': 1,
  'train.batch_size': 32,
  'optim.learning_rate': 3e-3,
  'evals.validation.every': EVERY,
  'evals.validation.batch_size': 32,
  'evals.written.every': EVERY,
  'evals.written.batch_size': 32,
  'evals.trained.every': EVERY,
  'checkpoint.every': EVERY,
  'log.wandb.mode': 'disabled',
  'log.sample': 0,
}
CORPORA: dict[str, dict[str, Any]] = {
  'docstrings': {'train.steps': 300, 'task.length': 128},
  'dialogues': {
    'task.corpus': 'files',
    'task.source': 'said',
    'task.target': 'answer',
    'train.steps': 300,
    'task.length': 96,
  },
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--only', nargs='*', default=[*CORPORA], choices=CORPORA)
  parser.add_argument('--models', nargs='*', default=[*MODELS], choices=MODELS)
  parser.add_argument('--runs', type=Path, default=Path('runs/pairs'))
  given = parser.parse_args()
  path = given.runs / 'dialogues.jsonl'
  if 'dialogues' in given.only:
    dialogues.write(path)
  for corpus in given.only:
    workdirs = [given.runs / corpus / model for model in given.models]
    for model, workdir in zip(given.models, workdirs, strict=True):
      subprocess.run(command(corpus, model, workdir, path), check=True)
    titles = [*FIGURES, *(f'trained {name}' for name in FIGURES)]
    rows = [[corpus, 'step', 'loss', *titles]]
    rows += [best(workdir) for workdir in workdirs]
    rows += without_a_model(workdirs[0])
    show(rows)
    show(loss_by_length(dict(zip(given.models, workdirs, strict=True))))


def show(rows: Sequence[Sequence[str]]) -> None:
  print('\n'.join(f'| {" | ".join(row)} |' for row in rows), flush=True)


def command(corpus: str, model: str, workdir: Path, path: Path) -> list[str]:
  """The command that trains a model on a corpus; `path` is of dialogues."""
  variant, more = MODELS[model]
  settings = SHARED | CORPORA[corpus] | more
  if settings.get('task.corpus') == 'files':
    settings['task.path'] = path
  if variant != 'lstm':
    settings['model.source_length'] = settings['task.length']
  flags = [f'--config.{field}={value}' for field, value in settings.items()]
  start = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*start, f'--config=experiments/pairs/config.py:{variant}', *flags]


def best(workdir: Path) -> list[str]:
  """The row of a model: its figures at the least validation loss."""
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  by_set: dict[str, dict[int, Mapping[str, Any]]] = {}
  for row in rows:
    by_set.setdefault(row['split'], {})[row['step']] = row['metrics']
  losses = {step: m['loss'] for step, m in by_set['validation'].items()}
  step = min(losses, key=lambda step: losses[step])
  words = [workdir.name, str(step), f'{losses[step]:.2f}']
  for name in ('written', 'trained'):
    words += shown(by_set[name][step])
  return words


def shown(figures: Mapping[str, float]) -> list[str]:
  digits = {'bleu': 1, 'rouge_l': 3, 'exact_match': 3}
  return [f'{figures[name]:.{n}f}' for name, n in digits.items()]


def without_a_model(workdir: Path) -> list[list[str]]:
  """The rows of answers that no model wrote, on the pairs of a run."""
  experiment = memjax.load(workdir, carry=False).experiment
  train = pairs_of(experiment.task)
  pairs = pairs_of(experiment.evals['written'].task)
  (frequent, _), *_ = Counter(pair.target for pair in train).most_common(1)
  likest = nearest(train, [pair.source for pair in pairs])
  targets = [pair.target for pair in pairs]
  kinds = {'nearest source': likest, 'most frequent': [frequent] * len(pairs)}
  return [
    [name, '', '', *shown(scores(answers, targets)), '', '', '']
    for name, answers in kinds.items()
  ]


def pairs_of(task: Any) -> list[Pair]:
  assert isinstance(task, Pairs)
  return [pair for pair, _ in task.fitting]


def nearest(train: Sequence[Pair], sources: Sequence[str]) -> list[str]:
  """The targets of the train pairs whose sources match best."""
  index = BM25([pair.source for pair in train])
  return [train[int(np.argmax(index.scores(s)))].target for s in sources]


def scores(answers: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
  """As the evaluation `overlap.Overlap` measures them."""
  pairs = [*zip(answers, targets, strict=True)]
  return {
    'bleu': bleu([overlap(*pair) for pair in pairs]),
    'rouge_l': float(np.mean([rouge_l(*pair) for pair in pairs])),
    'exact_match': float(np.mean([one == other for one, other in pairs])),
  }


def loss_by_length(workdirs: Mapping[str, Path]) -> list[list[str]]:
  """The number of labels and each model's nats of one, by length of source."""
  sums = {name: losses(workdir) for name, workdir in workdirs.items()}
  labels_E = next(iter(sums.values()))[:, 1]
  rows = [['tokens of the source', 'labels', *sums]]
  for i, (low, high) in enumerate(itertools.pairwise(EDGES)):
    if labels_E[i]:
      means = [f'{s[i, 0] / s[i, 1]:.2f}' for s in sums.values()]
      rows.append([f'{low}-{high - 1}', f'{labels_E[i]:.0f}', *means])
  return rows


def losses(workdir: Path) -> np.ndarray:
  """`(E, 2)`, nats and labels of the validation pairs, by length of source."""
  run = memjax.load(workdir, 'best', carry=False)
  written = run.experiment.evals['written']
  task, size = written.task, written.batch_size
  params_1 = jax.tree.map(lambda x: x[None], run.params)
  carry_1 = initial_carry(run.model, 1, size)
  sums = np.zeros((len(EDGES) - 1, 2))
  for step in range(task.epoch_steps(size)):
    batch = batch_at(task, Stream(0, NUMBER, size), step)
    _, y_1 = forward(run.model, params_1, carry_1, batch.inputs, batch.reset_BT)
    for i, (low, high) in enumerate(itertools.pairwise(EDGES)):
      loss = measure(task, y_1, within(batch, low, high))['loss']
      sums[i] += float(loss.sum[0]), float(loss.count[0])
  return sums


def within(batch: Batch, low: int, high: int) -> Batch:
  """The labels of rows of one pair whose source has [low, high) tokens."""
  weights_BT = np.asarray(batch.loss_weights_BT)
  # The first label is at the separator, after the source.
  length_B1 = (weights_BT > 0).argmax(axis=1)[:, None]
  inside_B1 = (length_B1 >= low) & (length_B1 < high)
  return batch._replace(loss_weights_BT=np.where(inside_B1, weights_BT, 0))


if __name__ == '__main__':
  main()
