"""Answers that small models write: first lines of docstrings, and dialogue.

    python -m experiments.pairs.run [--only=dialogues] [--runs=FOLDER]

Trains each model on each corpus, and prints the figures of what it writes for
the validation pairs, greedily, beside two answers without a model: that of the
train pair whose source is most like this one by BM25, and the most frequent
answer. `trained` is the same figure on pairs of the train split. Figures are
those of the evaluation with the least validation loss. The same command
resumes.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np

from experiments.pairs import dialogues
import memjax
from memjax.data.bm25 import BM25
from memjax.data.pair_files import Pair
from memjax.evaluation.overlap import FIGURES
from memjax.evaluation.text_scores import bleu, overlap, rouge_l
from memjax.logs import metrics_file
from memjax.tasks.language.pairs import Pairs

EVERY = 150  # steps between evaluations
MODELS = ('additive', 'none', 'lstm')
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
  'docstrings': {'train.steps': 450, 'task.length': 128},
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
  parser.add_argument('--models', nargs='*', default=MODELS, choices=MODELS)
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
    print('\n'.join(f'| {" | ".join(row)} |' for row in rows), flush=True)


def command(corpus: str, model: str, workdir: Path, path: Path) -> list[str]:
  """The command that trains a model on a corpus; `path` is of dialogues."""
  settings = SHARED | CORPORA[corpus]
  if settings.get('task.corpus') == 'files':
    settings['task.path'] = path
  if model != 'lstm':
    settings['model.source_length'] = settings['task.length']
  flags = [f'--config.{field}={value}' for field, value in settings.items()]
  start = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*start, f'--config=experiments/pairs/config.py:{model}', *flags]


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


if __name__ == '__main__':
  main()
