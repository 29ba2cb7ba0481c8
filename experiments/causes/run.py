"""Why a figure differs from a published one: one setting changed at a time.

    python -m experiments.causes.run [STUDY ...] [--runs=FOLDER]

A run has three seeds of each learning rate, side by side as replicas. The same
command resumes. It writes results.csv, a line for each seed, and prints tables.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
import dataclasses
import itertools
from pathlib import Path
import subprocess
import sys
from typing import Any

from memjax.logs import metrics_file

RESULTS = Path(__file__).with_name('results.csv')
SEEDS = 3
COLUMNS = 'study', 'run', 'learning_rate', 'measure', 'scores', 'rows'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """Runs that differ in one setting.

  Attributes:
    same: fields of all runs.
    runs: {name: (config and variant, the fields in which it differs)}.
    measures: the figures, `set/metric`.
    rates: peak learning rates.
    steps: of training.
    batch_size: rows of a step.
  """

  same: Mapping[str, Any]
  runs: Mapping[str, tuple[str, Mapping[str, Any]]]
  measures: Sequence[str]
  rates: Sequence[float] = (1e-3,)
  steps: int
  batch_size: int = 32


def chomsky(task: str, memories: Sequence[str], steps: int) -> Study:
  """Longer training on lengths up to 40, at three rates."""
  return Study(
    same={'model.width': 64, 'evals.unseen.task.longest': 100},
    runs={memory: (f'chomsky.py:{task}-{memory}', {}) for memory in memories},
    measures=('seen/score', 'unseen/score'),
    rates=(3e-4, 1e-3, 3e-3),
    steps=steps,
    batch_size=64,
  )


STUDIES: Mapping[str, Study] = {
  'segments': Study(
    same={
      'task.segments': 9,
      'model.width': 64,
    },
    runs={
      f'gradient through {count} of 9 segments': (
        'segments.py:copy-transformer_xl',
        {'train.bptt_segments': count},
      )
      for count in (9, 3, 1)
    },
    measures=('held_out/accuracy',),
    steps=400,
  ),
  'recall': Study(
    same={
      'task.vocab': 256,
      'model.width': 32,
      'model.layer.head_width': 32,
      'evals.twice.every': 3000,
    },
    runs={
      'Transformer, learned positions': ('mqar.py:transformer', {}),
      'Transformer, sinusoids': (
        'mqar.py:transformer',
        {'model.positions': 'sinusoidal'},
      ),
      'Transformer, no positions': (
        'mqar.py:transformer',
        {'model.positions': 'none'},
      ),
      'Transformer, rotary': (
        'mqar.py:transformer',
        {'model.positions': 'none', 'model.layer.positions': 'rotary'},
      ),
      "Transformer, Shaw's distances": (
        'mqar.py:transformer',
        {'model.positions': 'none', 'model.layer.positions': 'shaw'},
      ),
      'Transformer-XL': ('mqar.py:transformer_xl', {}),
    },
    measures=('held_out/accuracy',),
    steps=3000,
  ),
  'modular_arithmetic': chomsky('modular_arithmetic', ('rnn', 'lstm'), 10_000),
  'adding': Study(
    same={
      'task.length': 600,
      'model.width': 64,
      'train.steps_per_call': 10,
    },
    runs={
      f'forget bias {bias}, {words}': (
        'adding.py:lstm',
        {'model.layer.forget_bias': float(bias), 'optim.clip_norm': clip},
      )
      for bias, (words, clip) in itertools.product(
        (1, 0), (('gradient clipped to 1', 1.0), ('not clipped', 0.0))
      )
    },
    measures=('held_out/loss', 'held_out/exact_match'),
    rates=(2e-3,),
    steps=2000,
  ),
  'duplicate': chomsky('duplicate', ('lstm', 'tape_rnn'), 4000),
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('studies', nargs='*', default=list(STUDIES))
  parser.add_argument('--runs', type=Path, default=Path('runs/causes'))
  given = parser.parse_args()
  for study, run in cells(given.studies):
    workdir = folder(given.runs, study, run)
    subprocess.run(command(study, run, workdir), check=True)
    write([*read(), *lines(study, run, workdir)])
  print('\n'.join(table(read())))


def cells(studies: Iterable[str]) -> Iterator[tuple[str, str]]:
  """Each study with each of its runs."""
  return ((study, run) for study in studies for run in STUDIES[study].runs)


def folder(runs: Path, study: str, run: str) -> Path:
  name = ''.join(c if c.isalnum() else '_' for c in run.lower())
  return runs / study / name


def command(study: str, run: str, workdir: Path) -> list[str]:
  """What trains a run."""
  common, (config, fields) = STUDIES[study], STUDIES[study].runs[run]
  rates = [rate for rate in common.rates for _ in range(SEEDS)]
  sets = {measure.partition('/')[0] for measure in common.measures}
  words = {
    'train.steps': common.steps,
    'train.batch_size': common.batch_size,
    'train.replicas': len(rates),
    'optim.per_replica': f'learning_rate={",".join(map(str, rates))}',
    'checkpoint.every': common.steps // 4,
    'log.wandb.mode': 'disabled',
    **{f'evals.{name}.every': common.steps // 4 for name in sets},
    **common.same,
    **fields,
  }
  return [
    *(sys.executable, 'launch.py'),
    f'--config=configs/{config}',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in words.items()),
  ]


def lines(study: str, run: str, workdir: Path) -> Iterator[dict[str, str]]:
  """The last figures of a run, a line for each rate and measure."""
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  common = STUDIES[study]
  for (i, rate), measure in itertools.product(
    enumerate(common.rates), common.measures
  ):
    split, _, metric = measure.partition('/')
    last = [row for row in rows if row['split'] == split][-1]
    of_rate = slice(SEEDS * i, SEEDS * (i + 1))
    scores = last['replicas'][metric][of_rate]
    values = study, run, f'{rate:g}', measure, scores, last['step']
    words = ' '.join(f'{score:.5g}' for score in scores)
    yield dict(zip(COLUMNS, map(str, values), strict=True)) | {
      'scores': words,
      'rows': str(last['step'] * common.batch_size),
    }


def read(path: Path = RESULTS) -> list[dict[str, str]]:
  """The lines of results.csv; none if there is no file."""
  if not path.exists():
    return []
  with path.open(newline='') as file:
    return list(csv.DictReader(file))


def write(found: Iterable[dict[str, str]], path: Path = RESULTS) -> None:
  """Writes the lines in the order of the studies; a later one replaces."""
  order = {cell: i for i, cell in enumerate(cells(STUDIES))}
  newest = {tuple(line[c] for c in COLUMNS[:4]): line for line in found}
  kept = sorted(newest.values(), key=lambda x: order[x['study'], x['run']])
  with path.open('w', newline='') as file:
    writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(kept)


def table(found: Iterable[dict[str, str]]) -> Iterator[str]:
  """Medians with the worst and the best seed, as Markdown, a table a study."""
  for study, group in itertools.groupby(found, lambda line: line['study']):
    measures = STUDIES[study].measures
    yield f'\n| {study} | rate | {" | ".join(measures)} |'
    yield f'|---|---|{"---|" * len(measures)}'
    runs = itertools.groupby(group, lambda x: (x['run'], x['learning_rate']))
    for (run, rate), of_run in runs:
      words = [spread(line['scores']) for line in of_run]
      yield f'| {run} | {rate} | {" | ".join(words)} |'


def spread(scores: str) -> str:
  low, middle, high = (f'{x:.3g}' for x in sorted(map(float, scores.split())))
  return f'{middle} ({low} to {high})'


if __name__ == '__main__':
  main()
